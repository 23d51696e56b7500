/** Tables for terminals: columns padded to their widest cell, no lines, nothing after the last cell of a row. */
import { stripVTControlCharacters } from 'node:util';

/**
 * `table(['NAME', 'KIND'], [['web', 'vm']])` is
 * ```
 * NAME  KIND
 * web   vm
 * ```
 * Cells may carry colours. An empty cell shows as `-`, so that columns can be cut by white space.
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows].map((row) => row.map((cell) => (cell === '' ? '-' : cell)));
  const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function width(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
