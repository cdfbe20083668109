import { COMMAND_HANDLER_METADATA, QUERY_HANDLER_METADATA } from '@nestjs/cqrs/dist/decorators/constants';
import { startApplication } from '../../test/support/application';
import * as commands from './commands/commands';
import { Executor } from './executor';
import { COMMAND_HANDLERS, QUERY_HANDLERS } from './handlers';
import * as queries from './queries/queries';

type Handler = (typeof COMMAND_HANDLERS | typeof QUERY_HANDLERS)[number];

const handled = (handlers: readonly Handler[], key: string): string[] =>
  handlers.map((handler) => (Reflect.getMetadata(key, handler) as { name: string }).name).sort();

describe('ApplicationModule', () => {
  // Read from the files that declare them, so that a new command without a handler fails here.
  it('has exactly one handler for each command', () => {
    expect(handled(COMMAND_HANDLERS, COMMAND_HANDLER_METADATA)).toEqual(Object.keys(commands).sort());
  });

  it('has exactly one handler for each query', () => {
    expect(handled(QUERY_HANDLERS, QUERY_HANDLER_METADATA)).toEqual(Object.keys(queries).sort());
  });

  it('starts over the ports alone, and drains the executor when the application ends', async () => {
    const { context } = await startApplication();
    const executor = context.get(Executor);
    await context.close();
    const by = commands.LeaveConversationCommand.name as never;
    const left = { type: 'LeaveConversation' as const, conversationId: by, by, at: 0 as never };
    expect(await executor.execute(left)).toMatchObject({ kind: 'unavailable' });
  });
});
