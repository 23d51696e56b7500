/** A matrix as one HTML page without anything from elsewhere: rows send, columns receive. */
import type { Matrix } from '../prove/questions/matrix.ts';

export function matrixPage({ parties, cells }: Matrix, title: string): string {
  const byPair = new Map(cells.map((cell) => [`${cell.from}\n${cell.to}`, cell]));
  const head = parties.map(({ name, guests }) => `<th scope="col"${tip(guests)}><span>${escaped(name)}</span></th>`).join('');
  const rows = parties.map((from) => {
    const own = parties.map((to) => {
      const cell = byPair.get(`${from.name}\n${to.name}`);
      const pair = `${from.name} -> ${to.name}`;
      if (cell === undefined) return `<td title="${escaped(pair)}: nothing"></td>`;
      const { ports, unknown = [] } = cell;
      const kind = ports.length === 0 ? 'unknown' : ports[0] === 'any' ? 'any' : 'some';
      const words = [...ports, ...unknown.map((one) => `${one}?`)].join(' ');
      return `<td class="${kind}" title="${escaped(`${pair} ${words}`)}">${escaped(words)}</td>`;
    });
    return `<tr><th scope="row"${tip(from.guests)}>${escaped(from.name)}</th>${own.join('')}</tr>`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escaped(title)}</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; }
th, td { border: 1px solid #ccc; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: #f4f4f4; }
tbody th { position: sticky; left: 0; background: #f4f4f4; font-weight: 600; white-space: nowrap; }
td { min-width: 4rem; font-family: ui-monospace, monospace; font-size: 12px; }
.any { background: #ffe1cc; }
.some { background: #d9efd9; }
.unknown { background: #fff5c2; }
</style>
<h1>${escaped(title)}</h1>
<p>Rows send, columns receive. Empty: nothing gets there. A question mark: it depends on something that is not judged.</p>
<table>
<thead><tr><th></th>${head}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</html>
`;
}

const tip = (guests: readonly string[]): string => (guests.length > 1 ? ` title="${escaped(guests.join(', '))}"` : '');

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
