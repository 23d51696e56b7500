/**
 * Hoster's network_config.json to a commented weft.yaml. Everything that cannot be carried over as it was is an error or a warning with its place.
 */
import * as z from 'zod';
import type { Diagnostic, Report, Span } from '../diagnostic/diagnostic.ts';
import { compareIp, parseIp } from '../net/ip.ts';
import { diagnosticsOf } from '../config/issues.ts';
import * as leaf from '../config/leaves.ts';
import { readWithLibrary } from '../config/library-yaml.ts';
import { mapOf, optional } from '../config/shape.ts';
import { linesOf, placesOf } from '../config/tree.ts';
import type { Lines } from '../config/tree.ts';

const network = mapOf('a network of Hoster', {
  network_name: leaf.name('a network', ''),
  network_gateway: leaf.address(''),
  network_subnet: leaf.prefix(''),
  network_range_start: leaf.address(''),
  network_range_end: leaf.address(''),
  bridge_interface: leaf.text('`"None"` or the name of an interface', {}, (value, fail) =>
    value === 'None' || (/^[^\s/:]{1,15}$/.test(value) && value.toLowerCase() !== 'none')
      ? value
      : fail(
          'bad-value',
          `\`bridge_interface\` is ${value === '' ? 'empty' : `\`${value}\``}; write \`"None"\` for a private network, or the name of the physical interface.`,
        ),
  ),
  apply_bridge_address: leaf.flag(''),
  comment: optional(z.string({ error: 'a text' })),
});

type HosterNetwork = z.output<typeof network>;

const file = z.union([z.array(network), network], { error: 'a list of networks of Hoster, or one' });

export interface Imported {
  /** Of a weft.yaml. */
  readonly text: string;
  /** The place in the JSON that a line of `text` (from 1) comes from; undefined for lines that come from nowhere. */
  readonly from: (line: number) => Span | undefined;
}

/** Undefined when an error was reported. `jsonPath` is shown in messages. */
export function importHoster(jsonText: string, jsonPath: string, report: Report): Imported | undefined {
  const lines = linesOf(jsonPath, jsonText);
  const syntax = jsonProblem(jsonText, lines);
  if (syntax) {
    report(syntax);
    return undefined;
  }
  // What is JSON is YAML too: so the places come from the one reader of the project.
  const tree = readWithLibrary(jsonText, lines, report, 'anything');
  if (!tree) return undefined;
  const places = placesOf(tree, jsonText, lines);
  const result = file.safeParse(tree.root);
  if (!result.success) {
    for (const problem of diagnosticsOf(result.error.issues, tree.root, places, 'the file')) report(problem);
    return undefined;
  }
  const list = Array.isArray(result.data);
  const networks: readonly HosterNetwork[] = Array.isArray(result.data) ? result.data : [result.data];
  let failed = false;
  const note = (
    severity: Diagnostic['severity'],
    code: Diagnostic['code'],
    message: string,
    index: number,
    key: keyof HosterNetwork,
  ): void => {
    failed ||= severity === 'error';
    report({ code, severity, message, span: places.span([...(list ? [index] : []), key]) });
  };
  if (networks.length === 0) {
    report({
      code: 'bad-value',
      severity: 'error',
      message: 'the list of networks is empty; there is nothing to import.',
      span: lines.span(...tree.rootRange),
    });
    return undefined;
  }
  const names = new Map<string, number>();
  networks.forEach((entry, index) => {
    const name = entry.network_name;
    if (names.has(name.toLowerCase()))
      note(
        'error',
        'duplicate-name',
        `there is a second network \`${name}\`; rename one of them (upper and lower case are the same).`,
        index,
        'network_name',
      );
    names.set(name.toLowerCase(), index);
    const [start, end] = [parseIp(entry.network_range_start), parseIp(entry.network_range_end)];
    if (start?.family === 6 || end?.family === 6)
      note('error', 'bad-range', 'a range is for IPv4 only.', index, start?.family === 6 ? 'network_range_start' : 'network_range_end');
    else if (start && end && compareIp(start, end) > 0)
      note(
        'error',
        'range-reversed',
        `the range is reversed: it ends at ${entry.network_range_end} and begins at ${entry.network_range_start}; exchange the two.`,
        index,
        'network_range_end',
      );
    if (entry.bridge_interface !== 'None' && entry.apply_bridge_address) {
      const message = `\`apply_bridge_address: true\` would give the bridge on ${entry.bridge_interface} the address ${entry.network_gateway} of the outer gateway, and the traffic of the guests would loop at this host; set it to false.`;
      note('error', 'bad-value', message, index, 'apply_bridge_address');
    }
    if (entry.bridge_interface === 'None' && !entry.apply_bridge_address) {
      const message = `Hoster left the bridge of \`${name}\` without an address; Weft always puts the gateway ${entry.network_gateway} on it, or the guests would have none.`;
      note('warning', 'bad-value', message, index, 'apply_bridge_address');
    }
  });
  if (failed) return undefined;
  const head = `${HEADER}\nnetworks:\n`;
  const tail = `guests:\n  # web: ${networks[0]?.network_name ?? 'internal'}\n\nallow:\n  # - internet -> web tcp/80\n`;
  const body = networks.flatMap((entry, index) =>
    networkLines(entry).map(({ line, key }) => ({ line, span: places.span([...(list ? [index] : []), key]) })),
  );
  const first = head.split('\n').length;
  return {
    text: `${head}${body.map(({ line }) => `${line}\n`).join('')}${tail}`,
    from: (line) => body[line - first]?.span,
  };
}

const HEADER = `# Imported from Hoster's network_config.json. \`weft check\` says whether it is right.
# Weft drops what is not allowed: between guests, and from outside to guests.
`;

interface Line {
  readonly line: string;
  /** What of the network it says. */
  readonly key: keyof HosterNetwork;
}

function networkLines(entry: HosterNetwork): Line[] {
  const bridged = entry.bridge_interface !== 'None';
  const comment = (entry.comment ?? '').split(/\r?\n/).flatMap((line) => {
    const text = line.replace(/\p{Cc}/gu, ' ').trim();
    return text === '' ? [] : [`  # ${text}`];
  });
  const key = /^(?:true|false|null|yes|no|on|off|[yn])$/i.test(entry.network_name) ? `"${entry.network_name}"` : entry.network_name;
  const as = (from: keyof HosterNetwork, ...lines: readonly string[]): Line[] => lines.map((line) => ({ line, key: from }));
  const plain = /^[A-Za-z0-9._-]+$/.test(entry.bridge_interface) && /[A-Za-z]/.test(entry.bridge_interface);
  return [
    ...as('comment', ...comment),
    ...as('network_name', `  ${key}:`),
    ...(bridged
      ? as(
          'bridge_interface',
          '    kind: bridged # on the outer network, whose gateway and addresses these are',
          `    interface: ${plain ? entry.bridge_interface : JSON.stringify(entry.bridge_interface)}`,
        )
      : as('bridge_interface', '    kind: nat # bridge_interface "None": a private subnet behind this host')),
    ...as('network_subnet', `    subnet: ${entry.network_subnet}`),
    ...(bridged || entry.apply_bridge_address
      ? []
      : as(
          'apply_bridge_address',
          '    # Hoster left the bridge without an address (apply_bridge_address: false); Weft always puts the gateway on it.',
        )),
    ...as('network_gateway', `    gateway: ${entry.network_gateway}`),
    ...as('network_range_end', `    range: ${entry.network_range_start}-${entry.network_range_end}`),
    ...as('network_name', ''),
  ];
}

/** What JSON itself refuses, with the place where it stops. */
function jsonProblem(text: string, lines: Lines): Diagnostic | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    const position = /at position (\d+)/.exec(said)?.[1];
    const at = position !== undefined ? Number(position) : said.startsWith('Unexpected token') ? unexpectedAt(text) : text.trimEnd().length;
    const place = Math.max(0, Math.min(at, text.length - 1));
    const char = text[at];
    const trailing = /,\s*$/.test(text.slice(0, at)) && (char === ']' || char === '}');
    const message = /^\/[/*]|^#/.test(text.slice(at, at + 2))
      ? 'JSON has no comments; remove it, or put it into the `comment` of a network.'
      : trailing
        ? `the comma before \`${char}\` is one too many for JSON; remove it.`
        : char === undefined
          ? 'the JSON ends too early; a bracket or a quote is not closed.'
          : `this is not JSON: \`${char}\` does not belong here; is a quote, a comma or a bracket missing before it?`;
    return { code: 'bad-value', severity: 'error', message, span: lines.span(place, place + 1) };
  }
}

/** Of some wrong characters the parser tells no position: behind the longest beginning that it does not call wrong. */
function unexpectedAt(text: string): number {
  let [right, wrong] = [0, text.length];
  while (wrong - right > 1) {
    const middle = (right + wrong) >> 1;
    if (isWrong(text.slice(0, middle))) wrong = middle;
    else right = middle;
  }
  return wrong - 1;
}

function isWrong(beginning: string): boolean {
  try {
    JSON.parse(beginning);
    return false;
  } catch (cause) {
    return cause instanceof Error && cause.message.startsWith('Unexpected token');
  }
}
