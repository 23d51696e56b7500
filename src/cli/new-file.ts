/** The work of `weft init` and `weft import`: a text from somewhere becomes a new weft.yaml. What is there is never overwritten. */
import { getServers } from 'node:dns';
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic, Span } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Imported } from '../edit/import-hoster.ts';
import { importHoster } from '../edit/import-hoster.ts';
import { startingFile } from '../edit/starting-file.ts';
import { buildFabric } from '../fabric/build.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { readFacts } from '../kernel/facts.ts';
import { openKernel } from '../kernel/open.ts';
import type { CliContext } from './context.ts';

export async function runInit(ctx: CliContext, output: string | undefined): Promise<void> {
  const path = targetPath(ctx, output);
  const facts = await factsOrNone(ctx);
  const directory = basename(dirname(resolve(ctx.io.cwd, path === '-' ? 'weft.yaml' : path)));
  put(ctx, path, startingFile(facts, { fabric: directory, resolvers: getServers() }), 'Next: add guests, then `weft check`.');
}

export function runImportHoster(ctx: CliContext, file: string, output: string | undefined): void {
  const path = targetPath(ctx, output);
  const json = readJson(ctx, file);
  ctx.source(file, json);
  const imported = importHoster(json, file, ctx.report);
  if (imported !== undefined) reportMeaning(ctx, imported, path);
  ctx.stopOnErrors(2);
  if (imported === undefined) throw new Error('the import gave neither a text nor an error');
  put(ctx, path, imported.text, 'Next: add guests, then `weft check`.');
}

/**
 * What `weft check` would say of the new file is said now, at the places of the JSON: a file that cannot be used is not written.
 */
function reportMeaning(ctx: CliContext, { text, from }: Imported, path: string): void {
  const at = (span: Span | undefined): Span | undefined => (span === undefined ? undefined : from(span.line));
  const report = (diagnostic: Diagnostic): void => {
    const { span, related, ...rest } = diagnostic;
    const place = at(span);
    const others = (related ?? []).flatMap(({ message, span: other }) => {
      const found = at(other);
      return found ? [{ message, span: found }] : [];
    });
    ctx.report({
      ...rest,
      ...(place && { span: place }),
      ...(others.length > 0 && { related: others }),
    });
  };
  const directory = dirname(resolve(ctx.io.cwd, path === '-' ? 'weft.yaml' : path));
  const config = parseConfig(path, directory, text, report);
  if (config !== undefined) buildFabric(config, undefined, report);
}

function targetPath(ctx: CliContext, output: string | undefined): string {
  const path = output ?? ctx.options.file ?? 'weft.yaml';
  if (path === '') throw refused('usage', '-o is empty: name the file');
  if (path !== '-' && isThere(resolve(ctx.io.cwd, path))) throw refused('bad-value', isThereAlready(path));
  return path;
}

const isThereAlready = (path: string): string =>
  `${path} is there already and is not overwritten: remove it, or name another file with -o FILE`;

/** Also when it is a link to nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function put(ctx: CliContext, path: string, text: string, next: string): void {
  ctx.showProblems();
  if (path === '-') {
    if (ctx.options.json) ctx.json({ ok: true, text });
    else ctx.io.out(text);
    return;
  }
  try {
    writeFileSync(resolve(ctx.io.cwd, path), text, { flag: 'wx' });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'EEXIST') throw refused('bad-value', isThereAlready(path));
    const what = code === 'ENOENT' ? 'there is no such directory' : code;
    throw refused('file-unreadable', `${path} cannot be written (${what}): check the directory and its permissions`);
  }
  ctx.answer({ ok: true, file: path }, () => `Wrote ${path}. ${next}`);
}

function readJson(ctx: CliContext, file: string): string {
  try {
    // Without the byte order mark that editors of other systems put first.
    return readFileSync(resolve(ctx.io.cwd, file), 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    const code = codeOf(cause);
    throw refused(
      code === 'ENOENT' ? 'file-not-found' : 'file-unreadable',
      `${file} cannot be read (${code === 'ENOENT' ? 'there is no such file' : code})`,
    );
  }
}

/** A host that cannot be looked at still gets its file, with subnets that are free as far as one knows. */
async function factsOrNone(ctx: CliContext): Promise<HostFacts> {
  try {
    return await readFacts(openKernel());
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    ctx.err('This host could not be looked at (is iproute2 installed?), so check that the subnet in the file is free here.');
    return {
      interfaces: [],
      forwarding: { v4: false, v6: false },
      acceptRa: [],
      routes: [],
      features: { forceForwarding: false, bridgeNetfilter: false },
    };
  }
}

function refused(code: 'bad-value' | 'file-not-found' | 'file-unreadable' | 'usage', message: string): WeftError {
  return new WeftError(2, [{ code, severity: 'error', message }]);
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}
