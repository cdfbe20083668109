import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { EventLog } from '../../src/application/ports/event-log';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import type { ImportedUser } from '../../src/identity/accounts';
import type { Clock } from '../../src/kernel/clock';
import type { ConversationId, Seq } from '../../src/kernel/ids';
import { parseAnnotations, type Annotations } from './annotations';
import { holdsStep, importedSteps, type Imported } from './imported';
import { conversationIdOf, IMPORTER_ID, IMPORTER_NAME, nickId, stepId } from './keys';
import { parseLog, UnreadableLog, type ParsedLog } from './parse-log';
import { planOf, type Plan, type Step } from './plan';
import type { FinishedFile, ImportProgress } from './progress-store';
import { ImportStalled, Stepper, type StepperIo, type StepResult } from './stepper';
import type { ImportSummary } from './summary';

/** Conversations imported side by side: while one waits for the seq of what a message answers, others go on. */
export const CONVERSATIONS_AT_ONCE = 64;
export const USERS_CHUNK_MAX = 1_000;
const USER_SOURCE = 'irc';

export interface ImportTarget extends StepperIo {
  readonly eventLog: EventLog;
  readonly importUsers: (users: readonly ImportedUser[]) => Promise<void>;
  readonly progress: ImportProgress;
  readonly clock: Clock;
  /** Of a conversation, the importer included. */
  readonly membersMax: number;
}

export interface ImportRequest {
  readonly files: readonly string[];
  /** All files become one conversation of this title; undefined: each one its own. */
  readonly into: string | undefined;
}

export interface ImportObserver {
  /** Known before the first message is sent. */
  total(messages: number): void;
  /** One message more is in the log, now or from before. */
  message(): void;
}

export interface ImportedConversation {
  readonly conversationId: ConversationId;
  readonly title: string;
  /** As the files have them. */
  readonly messages: number;
}

interface PlannedFile {
  readonly log: ParsedLog;
  readonly plan: Plan;
  readonly digest: string;
}

/** Files that go into the same conversation, in the order of their days. */
interface PlannedConversation {
  readonly id: ConversationId;
  readonly title: string;
  readonly files: readonly PlannedFile[];
}

async function readOptional(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

/** `X.raw.txt` → `X.annotation.txt` beside it; undefined for other names. */
const annotationOf = (path: string): string | undefined =>
  path.endsWith('.raw.txt') ? path.replace(/\.raw\.txt$/, '.annotation.txt') : undefined;

/** The import of IRC logs: plans are pure, the log says what is done already, the executor does the rest. */
export class Import {
  private readonly notes = new Map<string, FinishedFile>();

  constructor(
    private readonly target: ImportTarget,
    private readonly summary: ImportSummary,
    private readonly observer: ImportObserver,
  ) {}

  /**
   * May be repeated at any time, also after it was killed: what is in the log is not done again.
   * @throws ImportStalled when the stores stay away
   */
  async run(request: ImportRequest): Promise<readonly ImportedConversation[]> {
    const conversations = await this.plan(request);
    const messages = conversations.flatMap(({ files }) => files).map(({ plan }) => plan.counts.messages);
    this.observer.total(messages.reduce((sum, count) => sum + count, 0));
    await this.makeUsers();
    for (const note of await this.target.progress.all(conversations.map(({ id }) => id))) {
      this.notes.set(`${note.conversationId}/${note.file}`, note);
    }
    const waiting = [...conversations];
    const workers = Array.from({ length: CONVERSATIONS_AT_ONCE }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        await this.conversation(next);
    });
    await Promise.all(workers);
    return conversations.map(({ id, title, files }) => ({
      conversationId: id,
      title,
      messages: files.reduce((sum, { plan }) => sum + plan.counts.messages, 0),
    }));
  }

  private async plan({ files, into }: ImportRequest): Promise<readonly PlannedConversation[]> {
    const planned: PlannedFile[] = [];
    for (const path of files) {
      const file = await this.planFile(path, into !== undefined);
      if (file !== undefined) planned.push(file);
    }
    planned.sort((a, b) => (a.log.name < b.log.name ? -1 : 1));
    if (into !== undefined) return [{ id: conversationIdOf('title', into), title: into, files: planned }];
    return planned.map((file) => ({
      id: conversationIdOf('file', file.log.name),
      title: `${file.log.channel} ${file.log.date}`,
      files: [file],
    }));
  }

  private async planFile(path: string, leaveAtEnd: boolean): Promise<PlannedFile | undefined> {
    const bytes = await readFile(path);
    const annotationPath = annotationOf(path);
    const annotationBytes =
      annotationPath === undefined ? Buffer.alloc(0) : await readOptional(annotationPath);
    try {
      const log = parseLog(basename(path), bytes);
      const annotations = this.annotationsOf(annotationPath, annotationBytes);
      const plan = planOf(log, annotations, { capacity: this.target.membersMax - 1, leaveAtEnd });
      this.summary.addFile(log, plan);
      const digest = createHash('sha256').update(bytes).update('\0').update(annotationBytes).digest('hex');
      return { log, plan, digest };
    } catch (error) {
      if (!(error instanceof UnreadableLog)) throw error;
      this.summary.problem({ kind: 'bad', file: basename(path), line: 0, what: error.message });
      return undefined;
    }
  }

  private annotationsOf(path: string | undefined, bytes: Buffer): Annotations {
    const annotations = parseAnnotations(bytes.toString('utf8'));
    for (const { line, why } of annotations.bad) {
      this.summary.problem({ kind: 'bad', file: basename(path ?? ''), line, what: why });
    }
    return annotations;
  }

  private async makeUsers(): Promise<void> {
    const users: ImportedUser[] = [...this.summary.nicks].sort().map((nick) => ({
      id: nickId(nick),
      username: nick,
      displayName: nick,
      source: USER_SOURCE,
    }));
    users.unshift({
      id: IMPORTER_ID,
      username: IMPORTER_NAME,
      displayName: 'IRC import',
      source: USER_SOURCE,
    });
    for (let start = 0; start < users.length; start += USERS_CHUNK_MAX) {
      await this.target.importUsers(users.slice(start, start + USERS_CHUNK_MAX));
    }
  }

  private async conversation(conversation: PlannedConversation): Promise<void> {
    const unfinished: PlannedFile[] = [];
    for (const file of conversation.files) {
      if (await this.isFinished(conversation.id, file)) this.countFinished(file);
      else unfinished.push(file);
    }
    if (unfinished.length === 0) return;
    const imported = await importedSteps(this.target.eventLog, conversation.id);
    await this.start(conversation, imported);
    for (const file of unfinished) await this.file(conversation.id, file, imported);
  }

  private async start({ id, title }: PlannedConversation, imported: Imported): Promise<void> {
    const stepper = new Stepper(id, imported, this.target, (_step, result) => {
      if (result.kind === 'refused') throw new ImportStalled(`${title} cannot be started: ${result.why}`);
    });
    const step: Step = {
      kind: 'start',
      title,
      id: stepId(title, -1, 'start'),
      line: -1,
      nick: IMPORTER_NAME,
    };
    await stepper.take([step]);
  }

  private async file(
    id: ConversationId,
    { log, plan, digest }: PlannedFile,
    imported: Imported,
  ): Promise<void> {
    const last = plan.steps.at(-1);
    const seqs = new Map<Step, Seq | undefined>();
    const stepper = new Stepper(id, imported, this.target, (step, result) => {
      this.count(log.name, step, result);
      if (result.kind !== 'refused') seqs.set(step, result.seq);
    });
    await stepper.take(plan.steps);
    const lastSeq = last && seqs.get(last);
    // With a step refused the file is tried again as a whole, as cheaply as the log is read.
    if (last === undefined || lastSeq === undefined || seqs.size < plan.steps.length) return;
    const lastStep = last.id;
    const note = { conversationId: id, file: log.name, digest, lastStep, lastSeq };
    await this.target.progress.finished(note).catch((error: unknown) => {
      // Without the note the next run reads the conversation, and finds all of it there.
      if (!(error instanceof StoreUnavailable)) throw error;
    });
  }

  /** The note of a finished file is believed only when the log has the file's last step where it says. */
  private async isFinished(id: ConversationId, { log, plan, digest }: PlannedFile): Promise<boolean> {
    const note = this.notes.get(`${id}/${log.name}`);
    const lastStep = plan.steps.at(-1)?.id;
    if (note === undefined || note.digest !== digest || note.lastStep !== lastStep) return false;
    return holdsStep(this.target.eventLog, id, note.lastSeq, note.lastStep);
  }

  private countFinished({ plan }: PlannedFile): void {
    this.summary.counts.finishedBefore += 1;
    this.summary.counts.messagesBefore += plan.counts.messages;
    this.summary.counts.stepsBefore += plan.steps.length;
    for (let n = 0; n < plan.counts.messages; n++) this.observer.message();
  }

  private count(file: string, step: Step, result: StepResult): void {
    const { counts } = this.summary;
    if (result.kind === 'refused') {
      this.summary.problem({ kind: 'refused', file, line: step.line, what: `${step.kind}: ${result.why}` });
      return;
    }
    if (result.kind === 'before') counts.stepsBefore += 1;
    else counts.stepsDone += 1;
    if (step.kind !== 'say') return;
    if (result.kind === 'before') counts.messagesBefore += 1;
    this.observer.message();
  }
}
