import { render } from 'preact';
import { App } from './app';
import { followEvents } from './events';
import { readRoute } from './route';
import { open, session } from './session';
import { overview } from './overview';

const page = document.getElementById('page');
if (page) render(<App />, page);

// A new session: everything that was known of the earlier one is read again.
let state = session.value.state;
session.follow(() => {
  const before = state;
  state = session.value.state;
  if (state === 'open' && before !== 'open') {
    followEvents();
    void overview.load();
  }
});

// A link that is pasted into the open page changes only the fragment.
window.addEventListener('hashchange', () => {
  if (location.hash.startsWith('#/') || location.hash === '') readRoute();
  else void open();
});
void open();
