/** What to do about each reason, from docs/events.md; made by vite.config.js. */
declare module 'virtual:reasons' {
  const advice: Record<string, string>;
  export default advice;
}
