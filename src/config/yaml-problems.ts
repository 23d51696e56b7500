/**
 * The YAML library's errors in plain words, with the way to mend what people get wrong most.
 */
import { isScalar, visit } from 'yaml';
import type { Document, YAMLError } from 'yaml';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Lines } from './tree.ts';

type Words = (error: YAMLError, text: string) => string;

const plain =
  (message: string): Words =>
  () =>
    message;

const WORDS: Record<YAMLError['code'], Words> = {
  ALIAS_PROPS: plain('an alias (`*name`) cannot have an anchor or a tag of its own; remove it.'),
  BAD_ALIAS: plain('this alias is not well formed; an alias is `*name`, and a text that begins with `*` needs quotes.'),
  BAD_DIRECTIVE: plain('this line is not a YAML directive Weft knows; remove it.'),
  BAD_DQ_ESCAPE: plain('this escape does not exist in double quotes; write `\\\\` for a backslash, or use single quotes.'),
  BAD_INDENT: (error) => {
    const bracket = END_BRACKET.exec(error.message)?.[1];
    return bracket === undefined
      ? 'this line is indented differently from the ones it belongs with; line it up with them.'
      : `a bracket is opened before this and never closed; add \`${bracket}\`.`;
  },
  BAD_PROP_ORDER: plain('anchors and tags come before the value and after `-`, `?` or `:`; move it.'),
  BAD_SCALAR_START: (error, text) => `a text cannot begin with \`${text[error.pos[0]] ?? ''}\`; put it in quotes.`,
  BLOCK_AS_IMPLICIT_KEY: plain(
    'there are two `key: value` on one line, or a value that goes on in the next; put each key on its own line, and quotes around a text with `: ` in it.',
  ),
  BLOCK_IN_FLOW: plain(
    'inside `{}` and `[]` everything has to be on the same terms: no `-` lists and no indented maps; write `[a, b]` or take the braces away.',
  ),
  DUPLICATE_KEY: plain('this key stands in the map a second time; merge the two, or rename one.'),
  IMPOSSIBLE: (error) => `this is not YAML: ${error.message}.`,
  KEY_OVER_1024_CHARS: plain('this key is longer than 1024 characters; is a quote or a line break missing?'),
  MISSING_CHAR: (error, text) => missingChar(error, text),
  MULTILINE_IMPLICIT_KEY: plain(
    'this line is neither `key: value` nor part of the text above it; is a `:` missing, or the space behind it?',
  ),
  MULTIPLE_ANCHORS: plain('a value can have one anchor (`&name`) only; remove the other.'),
  MULTIPLE_DOCS: plain('there is a second YAML document after `---`; keep one document in the file.'),
  MULTIPLE_TAGS: plain('a value can have one tag (`!name`) only; remove the other.'),
  NON_STRING_KEY: plain('a key has to be a text, not a list or a map; is it meant as `key: value`?'),
  RESOURCE_EXHAUSTION: plain('the file is nested too deeply.'),
  TAB_AS_INDENT: plain('tabs cannot indent in YAML; use spaces.'),
  TAG_RESOLVE_FAILED: plain('this tag (`!name`) is not known to Weft; remove it.'),
  UNEXPECTED_TOKEN: (error, text) => unexpected(error, text),
  BAD_COLLECTION_TYPE: plain('this tag does not fit the list or map behind it; remove it.'),
};

export function yamlProblem(error: YAMLError, document: Document.Parsed, text: string, lines: Lines): Diagnostic {
  const [start, end] = OPEN_QUOTE.test(error.message) ? openedQuote(document, error.pos) : error.pos;
  const at = Math.min(start, Math.max(0, text.length - 1));
  return { code: 'yaml-syntax', severity: 'error', message: WORDS[error.code](error, text), span: lines.span(at, Math.max(at + 1, end)) };
}

const OPEN_QUOTE = /Missing closing .quote/;

/** The library points at the end of the text, where nobody finds what is wrong: the place is where the quote is opened. */
function openedQuote(document: Document.Parsed, pos: readonly [number, number]): readonly [number, number] {
  let start: number | undefined;
  const look = (node: unknown): void => {
    if (isScalar(node) && node.type?.startsWith('QUOTE') && node.range && node.range[0] < pos[0] && node.range[2] >= pos[0] - 1)
      start = node.range[0];
  };
  visit(document, { Node: (_, node) => look(node), Pair: (_, pair) => look(pair.key) });
  return start === undefined ? pos : [start, start + 1];
}

function missingChar(error: YAMLError, text: string): string {
  if (OPEN_QUOTE.test(error.message)) return 'a quote is opened and never closed; close it on the same line.';
  if (/followed by|separated/.test(error.message)) return 'a space is missing; YAML needs one after `:`, `-` and `,`.';
  const bracket = END_BRACKET.exec(error.message)?.[1];
  if (bracket !== undefined) return `a bracket is opened and never closed; add \`${bracket}\`.`;
  return `something is missing here${text[error.pos[0]] === '\t' ? ' before the tab' : ''}: ${lowerFirst(error.message)}.`;
}

function unexpected(error: YAMLError, text: string): string {
  const word = text.slice(error.pos[0], error.pos[0] + 20).split(/[\s]/)[0] ?? '';
  return `\`${word}\` does not belong here; is an indent, a bracket, a comma or a quote wrong before it?`;
}

/** "Flow map in block collection must be sufficiently indented and end with a }" */
const END_BRACKET = /(?:end with a|to end with) ([\]}])/;

const lowerFirst = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1).replace(/\.$/, '');
