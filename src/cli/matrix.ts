/** The work of `weft matrix`: who reaches whom, as a table, one JSON document, or a page to look at. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { matrixOf, type Matrix } from '../prove/questions/matrix.ts';
import { TooManyNodes } from '../prove/symbolic/bdd.ts';
import type { CliContext } from './context.ts';
import { loadFabric } from './file.ts';
import { chooseHost } from './host.ts';
import { seenModel, type StateOptions } from './host-model.ts';
import { matrixPage } from './matrix-page.ts';
import { wantedModel } from './proof.ts';
import { table } from './table.ts';
import { phase } from './timing.ts';

export interface MatrixOptions extends StateOptions {
  /** Where to write a page. */
  readonly html?: string;
}

/** Parties fit side by side up to so many. */
const GRID = 8;

export async function runMatrix(ctx: CliContext, options: MatrixOptions): Promise<void> {
  if (options.live === true && options.state !== undefined) throw refused('--live and --state exclude each other: name one');
  phase('check');
  const { fabric } = loadFabric(ctx);
  const host = chooseHost(fabric, ctx);
  const seen = options.live === true || options.state !== undefined;
  const model = seen ? await seenModel(ctx, options, fabric, host) : wantedModel(fabric, host);
  phase('matrix');
  const matrix = workedOut(() => matrixOf({ fabric, host, model }));
  phase('answer');
  for (const part of model.missing) ctx.err(`The captured state is without ${part}; what depends on it is not known.`);
  if (options.html !== undefined) write(ctx, options.html, matrixPage(matrix, `${fabric.name}: who reaches whom on ${host}`));
  ctx.answer(
    { host, parties: matrix.parties.map(({ name }) => name), guests: guestsOf(matrix), cells: matrix.cells, missing: model.missing },
    () => (options.html === undefined ? matrixText(matrix) : `Wrote ${options.html}.`),
  );
}

function workedOut(make: () => Matrix): Matrix {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof TooManyNodes)) throw error;
    const message = 'so many different parties are more than Weft works out at once: ask for single flows with `weft explain`';
    throw new WeftError(2, [{ code: 'proof-unknown', severity: 'error', message }], error);
  }
}

/** Of parties that stand for several: who they are. */
const guestsOf = ({ parties }: Matrix): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(parties.filter(({ guests }) => guests.length > 1).map(({ name, guests }) => [name, guests]));

function write(ctx: CliContext, path: string, text: string): void {
  try {
    writeFileSync(resolve(ctx.io.cwd, path), text);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new WeftError(2, [
      {
        code: 'file-unreadable',
        severity: 'error',
        message: `${path} cannot be written (${code}): check the directory and its permissions`,
      },
    ]);
  }
}

/** A grid of few parties, else a line for each pair that has something. */
function matrixText({ parties, cells }: Matrix): string {
  if (cells.length === 0) return 'Nobody reaches anybody.';
  const text = ({ ports, unknown = [] }: Matrix['cells'][number]): string => [...ports, ...unknown.map((one) => `${one}?`)].join(' ');
  if (parties.length > GRID)
    return table(
      ['FROM', 'TO', 'PORTS'],
      cells.map((cell) => [cell.from, cell.to, text(cell)]),
    );
  const byPair = new Map(cells.map((cell) => [`${cell.from}\n${cell.to}`, cell]));
  const rows = parties.map((from) => [
    from.name,
    ...parties.map((to) => {
      const cell = byPair.get(`${from.name}\n${to.name}`);
      return cell ? text(cell) : '';
    }),
  ]);
  return table(['FROM \\ TO', ...parties.map(({ name }) => name)], rows);
}

const refused = (message: string): WeftError => new WeftError(2, [{ code: 'usage', severity: 'error', message }]);
