import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { Diagnostic } from './diagnostic.ts';
import { renderAll, renderDiagnostic } from './render.ts';

const at = (file: string, line: number, column: number, endColumn: number) => ({ file, line, column, endColumn });
const error = (message: string, span?: Diagnostic['span']): Diagnostic => ({
  code: 'bad-value',
  severity: 'error',
  message,
  ...(span && { span }),
});
const plain = { color: false };

test('place, message, line, caret', () => {
  const sources = new Map([['weft.yaml', 'name: demo\nnetworks: 5\n']]);
  assert.equal(
    renderDiagnostic(error('must be a map.', at('weft.yaml', 2, 11, 12)), sources, plain),
    ['weft.yaml:2:11: error bad-value: must be a map.', '    networks: 5', '              ^'].join('\n'),
  );
});

test('without a place, without a source, past the end, on an empty line: no excerpt', () => {
  const sources = new Map([['f', 'a\n\n']]);
  assert.equal(renderDiagnostic(error('m.'), sources, plain), 'error bad-value: m.');
  assert.equal(renderDiagnostic(error('m.', at('g', 1, 1, 2)), sources, plain), 'g:1:1: error bad-value: m.');
  assert.equal(renderDiagnostic(error('m.', at('f', 9, 1, 2)), sources, plain), 'f:9:1: error bad-value: m.');
  assert.equal(renderDiagnostic(error('m.', at('f', 2, 1, 2)), sources, plain), 'f:2:1: error bad-value: m.');
});

test('related places follow', () => {
  const d: Diagnostic = {
    ...error('taken.', at('f', 2, 1, 2)),
    severity: 'warning',
    related: [{ message: 'first here', span: at('f', 1, 1, 2) }, { message: 'and in the lock' }],
  };
  assert.equal(
    renderDiagnostic(d, new Map([['f', 'a\nb\n']]), plain),
    ['f:2:1: warning bad-value: taken.', '    b', '    ^', '  f:1:1: first here', '    a', '    ^', '  and in the lock'].join('\n'),
  );
});

test('carets stand under tabs, wide characters and combined ones', () => {
  const caret = (line: string, column: number, endColumn: number): string[] =>
    renderDiagnostic(error('m.', at('f', 1, column, endColumn)), new Map([['f', line]]), plain)
      .split('\n')
      .slice(1);
  assert.deepEqual(caret('\ta: b', 5, 6), ['      a: b', '         ^']);
  assert.deepEqual(caret('名前: x', 5, 6), ['    名前: x', '          ^']);
  assert.deepEqual(caret('é: x', 4, 5), ['    é: x', '       ^']);
  assert.deepEqual(caret('e\u0301: x', 5, 6), ['    e\u0301: x', '       ^']);
  assert.deepEqual(caret('a: 名前', 4, 6), ['    a: 名前', '       ^^^^']);
  assert.deepEqual(caret('abc', 4, 5), ['    abc', '       ^']);
});

test('a long line is shown around the place', () => {
  const line = `${'x'.repeat(500)}WRONG${'y'.repeat(500)}`;
  const [, shown = '', caret = ''] = renderDiagnostic(error('m.', at('f', 1, 501, 506)), new Map([['f', line]]), plain).split('\n');
  assert.ok(shown.length <= 150, String(shown.length));
  assert.equal(shown.slice(caret.indexOf('^'), caret.lastIndexOf('^') + 1), 'WRONG');
  assert.match(shown, /^ {4}…x+WRONGy+…$/);
});

test('no control character of a file reaches the terminal', () => {
  const text = renderDiagnostic(error('bad \x1b[31m name', at('f\x1b', 1, 1, 4)), new Map([['f\x1b', 'a\x1b[2Jb\u202e\x07']]), plain);
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\u202e]/u);
});

test('sorted by file, line and column; colours only when asked', () => {
  const list = [
    error('4', at('b', 1, 1, 2)),
    error('3', at('a', 10, 1, 2)),
    error('2', at('a', 2, 5, 6)),
    error('1', at('a', 2, 1, 2)),
    error('0'),
  ];
  const text = renderAll(list, new Map(), plain);
  assert.deepEqual(
    text.split('\n').map((line) => line.slice(-1)),
    ['0', '1', '2', '3', '4'],
  );
  const colored = renderAll(list, new Map([['a', 'x\nabcdefg\n']]), { color: true });
  assert.ok(colored.includes('\x1b[31m'));
  assert.equal(stripVTControlCharacters(colored), renderAll(list, new Map([['a', 'x\nabcdefg\n']]), plain));
  assert.equal(renderAll([], new Map(), plain), '');
});
