// Server-sent events (WHATWG HTML, section 9.2) by `fetch`, since `EventSource` cannot send an `Authorization` header.

export interface Message {
  event: string;
  data: string;
}

/** Splits the stream's text into messages. Comments and ids are ignored. */
export class MessageParser {
  #rest = '';

  push(text: string): Message[] {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    return blocks.map(parse).filter((message) => message !== undefined);
  }
}

function parse(block: string): Message | undefined {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event = line.slice(7);
    else if (line.startsWith('data: ')) data.push(line.slice(6));
  }
  return data.length > 0 ? { event, data: data.join('\n') } : undefined;
}

/** Reads the body until it ends. */
export async function readMessages(body: ReadableStream<Uint8Array>, on: (messages: Message[]) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new MessageParser();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const messages = parser.push(decoder.decode(value, { stream: true }));
    if (messages.length > 0) on(messages);
  }
}
