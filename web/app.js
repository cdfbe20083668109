// The reference client: everything goes through the SDK, and everything from the server is shown as text, never
// as markup.
import { ParleyApi, ParleyClient } from './modules/sdk/browser/index.js';

const $ = (id) => document.getElementById(id);
const SESSION = 'parley-session';
const DEVICE = 'parley-device';
const TYPING_MS = 4000;

const names = new Map();
const presences = new Map();
const typists = new Map();
let api;
let client;
let selected;
let drawing = false;

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null') ?? undefined;
  } catch {
    return undefined;
  }
}

function newApi(session) {
  return new ParleyApi({
    url: location.origin,
    ...(session === undefined ? {} : { session }),
    onSession: (next) =>
      next === undefined
        ? localStorage.removeItem(SESSION)
        : localStorage.setItem(SESSION, JSON.stringify(next)),
  });
}

function deviceId() {
  const kept = localStorage.getItem(DEVICE) ?? crypto.randomUUID();
  localStorage.setItem(DEVICE, kept);
  return kept;
}

function banner(text) {
  $('banner').hidden = text === undefined;
  $('banner').textContent = text ?? '';
}

/** One drawing per frame, however many events arrive. */
function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawConversations();
    drawMessages();
  });
}

function nameOf(userId) {
  if (userId === undefined) return '';
  if (!names.has(userId)) {
    names.set(userId, '…');
    api.user(userId).then(
      (user) => {
        names.set(userId, user.displayName);
        redraw();
      },
      () => names.set(userId, 'somebody'),
    );
  }
  return names.get(userId);
}

const othersIn = (conversation) => [...conversation.members.keys()].filter((id) => id !== client.userId);

function titleOf(conversation) {
  return conversation.title ?? (othersIn(conversation).slice(0, 3).map(nameOf).join(', ') || 'just me');
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawConversations() {
  const rows = client.conversations.list().map((conversation) => {
    const row = element('li');
    const button = element('button');
    const [other] = othersIn(conversation);
    const status = conversation.kind === 'direct' ? presences.get(other)?.status : undefined;
    if (conversation.kind === 'direct') {
      const dot = element('span', `dot ${status ?? ''}`);
      dot.title = status ?? 'offline';
      button.append(dot);
    }
    button.append(element('span', 'name', titleOf(conversation)));
    if (conversation.unread > 0) button.append(element('span', 'unread', String(conversation.unread)));
    button.setAttribute('aria-current', String(conversation.id === selected));
    button.onclick = () => select(conversation.id);
    row.append(button);
    return row;
  });
  $('conversations').replaceChildren(...rows);
}

function bodyOf(message) {
  if (message.content === null) return 'deleted';
  if (typeof message.content.body === 'string') return message.content.body;
  return message.content.type === 'file' ? `📎 ${message.content.name}` : `[${message.content.type}]`;
}

function drawMessage(message) {
  const own = message.senderId === client.userId;
  const deleted = message.content === null ? ' deleted' : '';
  const row = element('li', `${own ? 'mine ' : ''}${message.state}${deleted}`, bodyOf(message));
  const time = new Date(message.originalAt ?? message.at).toLocaleTimeString([], { timeStyle: 'short' });
  const edited = message.version > 1 ? ' · edited' : '';
  const reactions = [...message.reactions].map(([emoji, users]) => ` ${emoji} ${users.size}`).join('');
  row.append(
    element('small', '', `${own ? '' : `${nameOf(message.senderId)} · `}${time}${edited}${reactions}`),
  );
  return row;
}

function drawMessages() {
  const conversation = selected === undefined ? undefined : client.conversations.get(selected);
  $('compose').hidden = conversation === undefined;
  if (conversation === undefined) {
    $('title').textContent = 'Pick a conversation';
    $('messages').replaceChildren();
    return;
  }
  $('title').textContent = titleOf(conversation);
  const writing = [...(typists.get(selected) ?? new Map()).keys()].map(nameOf);
  $('typing').textContent = writing.length > 0 ? `${writing.join(', ')} writing…` : '';
  const list = $('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.replaceChildren(...[...conversation.messages, ...conversation.pending.values()].map(drawMessage));
  if (atEnd) list.scrollTop = list.scrollHeight;
  if (conversation.unread > 0 && document.hasFocus()) client.read(selected, conversation.headSeq);
}

async function select(conversationId) {
  selected = conversationId;
  client.focus(conversationId);
  redraw();
  const conversation = client.conversations.get(conversationId);
  const before = conversation?.messages[0]?.seq;
  const page = await api.messages(conversationId, { limit: 50, ...(before === undefined ? {} : { before }) });
  client.conversations.addHistory(page.items);
  $('messages').scrollTop = $('messages').scrollHeight;
  redraw();
  requestAnimationFrame(() => ($('messages').scrollTop = $('messages').scrollHeight));
  $('text').focus();
}

function someoneTypes({ conversationId, userId, isTyping }) {
  const here = typists.get(conversationId) ?? new Map();
  typists.set(conversationId, here);
  clearTimeout(here.get(userId));
  here.delete(userId);
  const forget = () => {
    here.delete(userId);
    redraw();
  };
  if (isTyping) here.set(userId, setTimeout(forget, TYPING_MS));
  redraw();
}

async function enter() {
  names.set(api.session.user.id, api.session.user.displayName);
  client = new ParleyClient({
    url: location.origin,
    tokenProvider: api.token,
    deviceId: deviceId(),
    deviceName: 'web',
    platform: 'web',
  });
  client.on('event', redraw);
  client.on('outbox', redraw);
  client.on('conversation', () => {
    const others = client.conversations
      .list()
      .filter(({ kind }) => kind === 'direct')
      .flatMap(othersIn);
    if (others.length > 0) client.watchPresence([...new Set(others)].slice(0, 500));
    redraw();
  });
  client.on('removed', redraw);
  client.on('typing', someoneTypes);
  client.on('presence', (presence) => {
    presences.set(presence.userId, presence);
    redraw();
  });
  client.on('connected', () => banner(undefined));
  client.on('disconnected', () => banner('Not connected. Messages are kept and sent later.'));
  client.on('stopped', ({ reason }) => {
    banner(`Signed out here (${reason}).`);
    if (reason !== 'closed') leave();
  });
  $('me').textContent = api.session.user.displayName;
  $('door').hidden = true;
  $('room').hidden = false;
  await client.connect();
  redraw();
}

function leave() {
  localStorage.removeItem(SESSION);
  selected = undefined;
  $('room').hidden = true;
  $('door').hidden = false;
}

$('sign-in').onsubmit = async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const account = { username: form.get('username').trim(), password: form.get('password') };
  $('sign-in-problem').textContent = '';
  try {
    api = newApi();
    await (event.submitter?.value === 'register' ? api.register(account) : api.login(account));
    await enter();
  } catch (error) {
    $('sign-in-problem').textContent = error.message;
  }
};

$('sign-out').onclick = async () => {
  await client.close();
  await api.logout().catch(() => undefined);
  leave();
};

$('start').onsubmit = async (event) => {
  event.preventDefault();
  const wanted = $('with')
    .value.split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const found = await Promise.all(
    wanted.map(async (name) => {
      const { items } = await api.users(name);
      return items.find(({ username }) => username.toLowerCase() === name.toLowerCase());
    }),
  );
  const missing = wanted.filter((_name, index) => found[index] === undefined);
  if (missing.length > 0) {
    $('with').setCustomValidity(`nobody is called ${missing.join(', ')}`);
    $('with').reportValidity();
    return;
  }
  const memberIds = found.map(({ id }) => id);
  const kind = memberIds.length === 1 ? 'direct' : 'group';
  const made = await api.createConversation({
    kind,
    memberIds,
    ...(kind === 'group' ? { title: wanted.join(', ') } : {}),
  });
  client.conversations.summarise(made);
  $('with').value = '';
  if (kind === 'direct') client.watchPresence(memberIds);
  await select(made.id);
};
$('with').oninput = () => $('with').setCustomValidity('');

let typedAt = 0;
$('text').oninput = () => {
  if (Date.now() - typedAt < 2000) return;
  typedAt = Date.now();
  client.typing(selected, true);
};

$('compose').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value;
  if (text.trim() === '' || selected === undefined) return;
  client.send({ conversationId: selected }, text).acked.catch((error) => banner(error.message));
  client.typing(selected, false);
  typedAt = 0;
  $('text').value = '';
  $('messages').scrollTop = $('messages').scrollHeight;
  redraw();
};

window.addEventListener('focus', () => client !== undefined && redraw());

const session = stored(SESSION);
if (session !== undefined) {
  api = newApi(session);
  enter().catch(leave);
}
