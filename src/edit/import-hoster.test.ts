import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { importHoster } from './import-hoster.ts';

const internal = {
  network_name: 'internal',
  network_gateway: '10.0.105.254',
  network_subnet: '10.0.105.0/24',
  network_range_start: '10.0.105.10',
  network_range_end: '10.0.105.200',
  bridge_interface: 'None',
  apply_bridge_address: true,
  comment: 'Internal network\nbehind the host',
};
const external = {
  network_name: 'external',
  network_gateway: '192.168.118.254',
  network_subnet: '192.168.118.0/24',
  network_range_start: '192.168.118.220',
  network_range_end: '192.168.118.230',
  bridge_interface: 'em0',
  apply_bridge_address: false,
  comment: '',
};

function imported(json: unknown): { text: string | undefined; said: string[] } {
  const found: Diagnostic[] = [];
  const done = importHoster(typeof json === 'string' ? json : JSON.stringify(json, null, 2), 'network_config.json', (problem) =>
    found.push(problem),
  );
  const text = done?.text;
  return { text, said: found.map(({ code, severity, message, span }) => `${span?.line}:${span?.column} ${severity} ${code}: ${message}`) };
}

test('a list of networks becomes a weft.yaml with the comments', () => {
  const { text = '', said } = imported([internal, external]);
  assert.deepEqual(said, []);
  assert.match(text, /^ {2}# Internal network\n {2}# behind the host\n {2}internal:$/m);
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  assert.deepEqual(config?.model.networks, {
    internal: { kind: 'nat', subnet: ['10.0.105.0/24'], gateway: ['10.0.105.254'], range: { from: '10.0.105.10', to: '10.0.105.200' } },
    external: {
      kind: 'bridged',
      interface: 'em0',
      subnet: ['192.168.118.0/24'],
      gateway: ['192.168.118.254'],
      range: { from: '192.168.118.220', to: '192.168.118.230' },
    },
  });
});

test('a single network, tabs, and no comment are fine', () => {
  const { comment: _, ...rest } = internal;
  const { text, said } = imported(JSON.stringify(rest, null, '\t'));
  assert.deepEqual(said, []);
  assert.match(text ?? '', /^ {2}internal:$/m);
});

test('an interface that looks like a number, a name that looks like a word of YAML', () => {
  const { text = '' } = imported([{ ...external, network_name: 'on', bridge_interface: '123' }]);
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  assert.deepEqual(Object.keys(config?.model.networks ?? {}), ['on']);
  const network = config?.model.networks['on'];
  assert.equal(network?.kind === 'bridged' && network.interface, '123');
});

test('an address on a bridge to the outer network is refused with the reason', () => {
  const { text, said } = imported([{ ...external, apply_bridge_address: true }]);
  assert.equal(text, undefined);
  assert.deepEqual(said, [
    '9:29 error bad-value: `apply_bridge_address: true` would give the bridge on em0 the address 192.168.118.254 of the outer gateway, and the traffic of the guests would loop at this host; set it to false.',
  ]);
});

test('a private bridge without an address: a warning and a comment say what Weft does', () => {
  const { text = '', said } = imported([{ ...internal, apply_bridge_address: false }]);
  assert.deepEqual(said, [
    '9:29 warning bad-value: Hoster left the bridge of `internal` without an address; Weft always puts the gateway 10.0.105.254 on it, or the guests would have none.',
  ]);
  assert.match(text, /# Hoster left the bridge without an address/);
});

test('all that is wrong is said at once, with its place', () => {
  const { text, said } = imported([
    { ...external, network_name: 'ex_t', foo: 1, network_range_end: undefined, bridge_interface: 'none' },
    5,
  ]);
  assert.equal(text, undefined);
  assert.deepEqual(said, [
    '2:3 error missing-key: entry 1 needs `network_range_end`: an address such as 10.0.0.5 or fd00::5.',
    '3:21 error bad-name: `ex_t` cannot be the name of a network: letters, digits and hyphens are possible, beginning with a letter and not ending with a hyphen; `ex-t` would do.',
    '7:25 error bad-value: `bridge_interface` is `none`; write `"None"` for a private network, or the name of the physical interface.',
    '10:5 error unknown-key: a network of Hoster has no key `foo`; the keys are `network_name`, `network_gateway`, `network_subnet`, `network_range_start`, `network_range_end`, `bridge_interface`, `apply_bridge_address`, `comment`.',
    '12:3 error wrong-type: entry 2 must be a map with the keys of a network of Hoster, not the number `5`.',
  ]);
  assert.deepEqual(imported([internal, { ...internal, network_range_start: '10.0.105.201' }]).said, [
    '13:21 error duplicate-name: there is a second network `internal`; rename one of them (upper and lower case are the same).',
    '17:26 error range-reversed: the range is reversed: it ends at 10.0.105.200 and begins at 10.0.105.201; exchange the two.',
  ]);
});

test('what is no JSON is shown where it stops', () => {
  assert.deepEqual(imported('[\n  {"network_name": "a",}\n]').said, [
    '2:24 error bad-value: the comma before `}` is one too many for JSON; remove it.',
  ]);
  assert.deepEqual(imported('[\n  {"network_name": "a"').said, [
    '2:22 error bad-value: the JSON ends too early; a bracket or a quote is not closed.',
  ]);
  assert.deepEqual(imported('[\n  {"network_name" "a"}\n]').said, [
    '2:19 error bad-value: this is not JSON: `"` does not belong here; is a quote, a comma or a bracket missing before it?',
  ]);
  for (const comment of ['// by hand', '# by hand', '/* by hand */'])
    assert.deepEqual(imported(`[\n  ${comment}\n]`).said, [
      '2:3 error bad-value: JSON has no comments; remove it, or put it into the `comment` of a network.',
    ]);
  assert.deepEqual(imported('null').said, ['1:1 error wrong-type: the file is empty; it must be a list of networks of Hoster, or one.']);
  assert.deepEqual(imported('').said, ['1:1 error bad-value: the JSON ends too early; a bracket or a quote is not closed.']);
  assert.deepEqual(imported('[]').said, ['1:1 error bad-value: the list of networks is empty; there is nothing to import.']);
});

test('each line of the new file knows where it comes from', () => {
  const json = JSON.stringify([internal, external], null, 2);
  const { text, from } = importHoster(json, 'network_config.json', (problem) => assert.fail(problem.message)) ?? assert.fail();
  const source = (line: string): string | undefined => {
    const span = from(text.split('\n').indexOf(line) + 1);
    return span && json.split('\n')[span.line - 1]?.trim();
  };
  assert.equal(source('    gateway: 10.0.105.254'), '"network_gateway": "10.0.105.254",');
  assert.equal(source('  external:'), '"network_name": "external",');
  assert.equal(source('    interface: em0'), '"bridge_interface": "em0",');
  assert.equal(source('guests:'), undefined);
  assert.equal(source('networks:'), undefined);
});
