import { randomUUID } from 'node:crypto';
import { RawDevice } from '../support/raw-device';
import { call, registerUser } from '../support/rest';
import type { TestNode } from '../support/test-node';

/** Two people who behave, and who must not notice what others do to the server. */
export class Neighbours {
  private constructor(
    private readonly node: TestNode,
    private readonly ann: RawDevice,
    private readonly bob: RawDevice,
    private readonly bobId: string,
  ) {}

  static async on(node: TestNode): Promise<Neighbours> {
    const [ann, bob] = [await registerUser(node.url, 'good-ann'), await registerUser(node.url, 'good-bob')];
    const inspect = { inspect: node.inspectFrame };
    const devices = [ann, bob].map(({ token }) => RawDevice.signIn(node.url, token, inspect));
    return new Neighbours(node, ...((await Promise.all(devices)) as [RawDevice, RawDevice]), bob.id);
  }

  /** A message goes from one to the other, and REST is well. @throws Error when it does not */
  async chat(): Promise<void> {
    const clientMessageId = randomUUID();
    const content = { type: 'text', body: 'are you there?' };
    const ack = await this.ann.request('message.send', { to: this.bobId, clientMessageId, content });
    if (ack.event !== 'message.ack') throw new Error(`a neighbour's message: ${JSON.stringify(ack)}`);
    await this.bob.waitFor(
      ({ event, data }) => event === 'message.sent' && data['clientMessageId'] === clientMessageId,
      "a neighbour's message",
    );
    const { status } = await call(this.node.url, 'GET', '/health/live');
    if (status !== 200) throw new Error(`/health/live answered ${status}`);
  }

  async leave(): Promise<void> {
    await Promise.all([this.ann.close(), this.bob.close()]);
  }
}
