import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FaultProxy } from '../support/fault-proxy';
import { eventually } from '../support/sdk-device';

/** A server that answers every piece in capitals, and one that talks to it over a line that fails. */
describe('the proxy that fails on demand', () => {
  let server: Server;
  let proxy: FaultProxy;
  let client: Socket;
  let heard: string;
  let arrived: string;
  let ends: string[];
  const serverSockets: Socket[] = [];

  beforeEach(async () => {
    [heard, arrived, ends] = ['', '', []];
    server = createServer((socket) => {
      serverSockets.push(socket);
      socket
        .on('error', () => undefined)
        .on('data', (bytes) => {
          arrived += bytes.toString();
          socket.write(bytes.toString().toUpperCase());
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await FaultProxy.open({ port: (server.address() as AddressInfo).port });
    client = connect(proxy.port, '127.0.0.1');
    // Its own: a client of the test before may say late that it is closed.
    const told = ends;
    client
      .on('data', (bytes) => (heard += bytes.toString()))
      .on('error', ({ message }) => told.push(message))
      .on('end', () => told.push('end'))
      .on('close', () => told.push('close'));
    await once(client, 'connect');
    await eventually('the connection', () => proxy.connections === 1);
  });
  afterEach(async () => {
    client.destroy();
    await eventually('the close', () => client.closed);
    await proxy.close();
    for (const socket of serverSockets.splice(0)) socket.destroy();
    server.close();
    await once(server, 'close');
  });

  const answered = async (text: string): Promise<void> => {
    client.write(text);
    await eventually(text, () => heard.endsWith(text.toUpperCase()));
  };
  const silent = async (): Promise<void> => {
    // What would come, had it not been swallowed, comes before what another connection is told after it.
    const other = connect(proxy.port, '127.0.0.1');
    other.on('error', () => undefined);
    await once(other, 'connect');
    other.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
  };

  it('carries both ways, however slowly', async () => {
    await answered('fast');
    Object.assign(proxy, { latencyMs: 20, jitterMs: 20 });
    client.write('ab');
    await new Promise((resolve) => setTimeout(resolve, 5));
    client.write('cd');
    await eventually('order', () => heard.endsWith('ABCD'));
    Object.assign(proxy, { latencyMs: 0, jitterMs: 0, bytesPerSecond: 100 });
    const pieces: string[] = [];
    client.on('data', (bytes) => pieces.push(bytes.toString()));
    await answered('drop by drop');
    expect(pieces.length).toBeGreaterThan(2);
    proxy.heal();
    await answered('fast again');
    expect(ends).toEqual([]);
  });

  it('sends byte by byte, and tears a connection in the middle of what is said', async () => {
    proxy.segmentBytes = 1;
    const pieces: string[] = [];
    client.on('data', (bytes) => pieces.push(bytes.toString()));
    await answered('segments');
    expect(pieces.length).toBeGreaterThan(1);
    proxy.heal();
    await eventually('the rest', () => heard === 'SEGMENTS');
    proxy.tear('toServer', () => 3);
    client.write('mid-frame');
    await eventually('the reset', () => ends.includes('close'));
    expect('segmentsmid').toContain(arrived);
  });

  it('resets what is open, and refuses what is new', async () => {
    proxy.refusing = true;
    proxy.cut();
    await eventually('the reset', () => ends.includes('close'));
    expect(ends).toContain('read ECONNRESET');
    const second = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
    await eventually('the refusal', () => second.closed);
    expect(proxy.accepted).toBe(2);
    expect(proxy.connections).toBe(0);
  });

  it('swallows without a word', async () => {
    proxy.blackHole.toServer = true;
    client.write('lost');
    await silent();
    expect([arrived, ends]).toEqual(['', []]);
    proxy.heal();
    await answered('found');
    expect(arrived).toBe('found');
  });

  it('leaves a client alone with a connection that leads nowhere', async () => {
    await answered('alive');
    proxy.halfOpen();
    client.write('anybody?');
    await silent();
    expect([heard, ends]).toEqual(['ALIVE', []]);
    expect(proxy.connections).toBe(1);
  });

  it.each([
    ['cutBefore', '', true],
    ['cutAfter', 'a wanted text', true],
    ['swallowAnswer', 'a wanted text', false],
  ] as const)('%s: the server has %j, the client no answer', async (then, there, ended) => {
    const sprung = proxy.intercept('wanted', then);
    client.write('a wanted text');
    await sprung;
    if (ended) await eventually('the end', () => ends.includes('close'));
    else await eventually('the request', () => arrived === there);
    await silent();
    await eventually('the request', () => arrived === there);
    expect([heard, ends.includes('close')]).toEqual(['', ended]);
  });
});
