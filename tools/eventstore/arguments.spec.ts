import { eventStoreCommand, WrongArguments } from './arguments';

const parsed = (line: string) => eventStoreCommand(line.split(' ').filter((word) => word !== ''));

describe('npm run eventstore', () => {
  it.each([
    ['', { kind: 'serve' }],
    ['copy --to esdb://h:1', { kind: 'copy', from: undefined, to: 'esdb://h:1' }],
    ['copy --from a --to b', { kind: 'copy', from: 'a', to: 'b' }],
    ['backup --to b', { kind: 'backup', to: 'b' }],
    ['reshard --to b', { kind: 'reshard', to: 'b' }],
    ['check', { kind: 'check', from: undefined }],
    ['check --from b', { kind: 'check', from: 'b' }],
    ['repair', { kind: 'repair' }],
    ['new-epoch', { kind: 'newEpoch' }],
  ])('understands "%s"', (line, command) => {
    expect(parsed(line)).toEqual(command);
  });

  it.each([
    ['copy', 'copy needs --to'],
    ['backup', 'backup needs --to'],
    ['backup --from a --to b', 'backup takes no --from'],
    ['reshard', 'reshard needs --to'],
    ['reshard --from a --to b', 'reshard takes no --from'],
    ['check --to b', 'check takes no --to'],
    ['repair --from b', 'repair takes no --from'],
    ['new-epoch --to b', 'new-epoch takes no --to'],
    ['--to b', 'serving takes no --to'],
    ['restore', 'there is no command restore'],
    ['copy more --to b', 'there is one command, not also more'],
    ['copy --into b', "Unknown option '--into'"],
  ])('refuses "%s", and says why', (line, sentence) => {
    expect(() => parsed(line)).toThrow(WrongArguments);
    expect(() => parsed(line)).toThrow(sentence);
  });
});
