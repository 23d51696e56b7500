/** The work of `weft logs`. Rules and names are those of the last apply: packets were judged by it, not by what the file says now. */
import { accessSync, constants, existsSync } from 'node:fs';
import { openStore } from '../apply/store.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import { didYouMean } from '../fabric/did-you-mean.ts';
import type { Fabric } from '../fabric/model.ts';
import { recordingsDir } from '../kernel/recorder.ts';
import { type LogNames, formatLog, portOf, selectGuest } from '../logs/format.ts';
import { type LogRecord, readRecordings } from '../logs/read.ts';
import type { CliContext } from './context.ts';

export async function runLogs(ctx: CliContext, guest: string | undefined, lines: string | undefined): Promise<void> {
  const last = lines === undefined ? undefined : countOf(lines);
  const { stateDir } = ctx.options;
  if (existsSync(stateDir) && !isReadable(stateDir))
    throw refused('not-root', `weft logs reads ${stateDir}, which needs root: run it with sudo`);
  const record = await openStore(stateDir).read('applied');
  if (record === undefined)
    throw refused(
      'not-applied',
      `nothing is applied on this host (there is no record in ${stateDir}), so nothing was logged: run \`weft apply\` first`,
    );
  const { fabric } = record;
  const known = fabric.guests.map(({ name }) => name);
  if (guest !== undefined && !known.some((name) => name.toLowerCase() === guest.toLowerCase())) {
    throw refused('unknown-guest', `there is no guest \`${guest}\` in what was applied${didYouMean(guest, known)}`);
  }
  const names = namesOf(fabric);
  const all = selectGuest(readRecordings(recordingsDir({ state: stateDir })), names, guest);
  const shown = last === undefined ? all : all.slice(Math.max(0, all.length - last));
  if (shown.length === 0)
    ctx.err(logsNothing(fabric) ? 'Nothing is logged: no rule says `log: true` and no guest `log: dropped`.' : 'Nothing was logged yet.');
  ctx.answer({ packets: shown.map((packet) => packetDocument(packet, names)) }, () => formatLog(shown, names).join('\n'));
}

function namesOf(fabric: Fabric): LogNames {
  const rules = [...fabric.allow, ...fabric.block].map(({ id, span, text }) => [id, { file: span.file, line: span.line, text }] as const);
  const guests = fabric.guests.flatMap(({ name, nics }) =>
    nics.flatMap(({ v4, v6 }) => [v4, v6].flatMap((address) => (address === undefined ? [] : [[address, name] as const]))),
  );
  return { rules: new Map(rules), guests: new Map(guests), hostPorts: new Map([[WEFT_DNS_PORT, 53]]) };
}

function logsNothing(fabric: Fabric): boolean {
  return !fabric.guests.some(({ logDropped }) => logDropped) && ![...fabric.allow, ...fabric.block].some(({ log }) => log);
}

function packetDocument(record: LogRecord, names: LogNames): object {
  const { time, verdict, ruleId, src, dst, protocol, sport } = record;
  const dport = portOf(record, names);
  const rule = ruleId === undefined ? undefined : names.rules.get(ruleId);
  const from = names.guests.get(src);
  const to = names.guests.get(dst);
  return {
    time: new Date(time).toISOString(),
    verdict,
    source: src,
    ...(from === undefined ? {} : { from }),
    destination: dst,
    ...(to === undefined ? {} : { to }),
    protocol,
    ...(sport === undefined ? {} : { sourcePort: sport }),
    ...(dport === undefined ? {} : { destinationPort: dport }),
    ...(rule === undefined ? {} : { rule: rule.text, file: rule.file, line: rule.line }),
  };
}

function countOf(text: string): number {
  if (!/^\d+$/.test(text)) throw refused('usage', `--lines takes a number, not \`${text}\``);
  return Number(text);
}

function isReadable(directory: string): boolean {
  try {
    accessSync(directory, constants.R_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function refused(code: DiagnosticCode, message: string): WeftError {
  return new WeftError(2, [{ code, severity: 'error', message }]);
}
