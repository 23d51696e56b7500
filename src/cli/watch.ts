/** The work of `weft watch`: a line for each thing, or under `--json` a document a line. */
import { requireRoot } from '../apply/session.ts';
import { watchHost, type Mended, type WatchEvent } from '../apply/watch.ts';
import { problemDocument, type CliContext } from './context.ts';
import { sessionOf } from './change.ts';

/** More things mended at once than this are counted. */
const LISTED = 20;

export async function runWatch(ctx: CliContext): Promise<void> {
  requireRoot('weft watch');
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort());
  const { json } = ctx.options;
  // Many documents, and no other one at the end.
  ctx.answered = json;
  const tell = (event: WatchEvent): void => {
    const time = new Date().toISOString();
    if (json) ctx.out(JSON.stringify({ time, ...documentOf(event) }));
    else for (const line of linesOf(event)) ctx.out(`${time} ${line}`);
  };
  await watchHost(sessionOf(ctx, { quiet: true }), tell, stop.signal);
}

function documentOf(event: WatchEvent): object {
  if (event.event === 'failed') return { ...event, problems: event.problems.map(problemDocument) };
  return event.event === 'warning' ? { ...event, problem: problemDocument(event.problem) } : event;
}

function linesOf(event: WatchEvent): readonly string[] {
  switch (event.event) {
    case 'watching':
      return [`watching ${event.fabric} on host ${event.host}`];
    case 'idle':
      return [`waiting: ${event.why}`];
    case 'mended':
      return mendedLines(event.changes);
    case 'fought': {
      const [first = '', ...others] = event.things;
      const more = others.length === 0 ? '' : ` and ${others.length} more`;
      const who = event.by.length === 0 ? '' : `; last by ${event.by.map(({ process, pid }) => `${process} (pid ${pid})`).join(', ')}`;
      return [
        `WARNING: ${first}${more}: something on this host changes it again and again${who}. It is mended again in ${event.pauseMs / 1000} s; find that program and stop it`,
      ];
    }
    case 'failed': {
      const again = `tried again in ${event.pauseMs / 1000} s`;
      return event.problems.map(({ code, message }) => `NOT MENDED: ${code}: ${message} (${again})`);
    }
    case 'warning':
      return [`warning ${event.problem.code}: ${event.problem.message}`];
    case 'lost':
      return ['events of the kernel were lost: looking at everything'];
  }
}

function mendedLines(changes: readonly Mended[]): string[] {
  const listed = changes.length > LISTED ? changes.slice(0, LISTED - 1) : changes;
  const lines = listed.map(
    ({ text, by }) => `mended: ${text} (done by ${by === undefined ? 'an unknown program' : `${by.process}, pid ${by.pid}`})`,
  );
  return changes.length > listed.length ? [...lines, `mended: … and ${changes.length - listed.length} more`] : lines;
}
