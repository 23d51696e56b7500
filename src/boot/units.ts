/**
 * The systemd units that bring the last applied state back at boot, as text. What each line is for is in docs/boot.md. None of them may have a mount
 * namespace of its own (PrivateTmp=, ProtectSystem= and the like): a guest's namespace made in one would exist for nobody else (`ip netns add` mounts
 * it under /run/netns). systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.special(7).
 */
import { dirname } from 'node:path';

/** What the units start, all by absolute path: at boot there is no search path of a person's, no launcher, and no network to fetch anything. */
export interface Installation {
  /** Node and the program file: `[/usr/bin/node, /opt/weft/dist/main.js]`. */
  readonly program: readonly string[];
  readonly stateDir: string;
  readonly runDir: string;
}

export interface Unit {
  readonly name: string;
  readonly text: string;
  /** The target that pulls it in at boot. */
  readonly wantedBy: string;
}

/** First line of every unit that Weft has written: others are never replaced or removed. */
export const UNIT_MARK = '# Written by `weft install`, removed by `weft uninstall`. Do not edit: `systemctl edit` makes a file beside it.';

export const EARLY = 'weft-early.service';
export const FULL = 'weft.service';
export const WATCH = 'weft-watch.service';
export const unitNames = [EARLY, FULL, WATCH] as const;

/** Programs that load rules at boot, some by `flush ruleset`: what they do has to be done before Weft's rules come. */
const firewalls = 'nftables.service netfilter-persistent.service iptables.service ip6tables.service';

/** Those of a whole boot; the watching one only when it is wanted. */
export function bootUnits(installation: Installation, options: { readonly watch: boolean }): readonly Unit[] {
  return [early(installation), full(installation), ...(options.watch ? [watching(installation)] : [])];
}

function early(installation: Installation): Unit {
  const text = unitText([
    [
      'Unit',
      [
        'Description=Weft: the networks of the guests as last applied, before the network is up',
        'DefaultDependencies=no',
        needsRecord(installation),
        mounts(installation),
        'Wants=network-pre.target',
        `After=local-fs.target systemd-modules-load.service systemd-sysctl.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup.service ${firewalls}`,
        'Before=network-pre.target shutdown.target',
        'Conflicts=shutdown.target',
      ],
    ],
    ['Service', [...oneshot(command(installation, 'restore', '--early')), ...harmless]],
    ['Install', ['WantedBy=sysinit.target']],
  ]);
  return { name: EARLY, text, wantedBy: 'sysinit.target' };
}

function full(installation: Installation): Unit {
  const run = command(installation, 'restore');
  const text = unitText([
    [
      'Unit',
      [
        'Description=Weft: what of the guests’ networks stands on interfaces of the host',
        needsRecord(installation),
        mounts(installation),
        `Wants=network-online.target ${EARLY}`,
        `After=network-online.target ${EARLY} ${firewalls}`,
        // `systemctl restart nftables` flushes the rules of everybody; then this one is run again.
        'PartOf=nftables.service',
        'ReloadPropagatedFrom=nftables.service',
      ],
    ],
    ['Service', [...oneshot(run), `ExecReload=${run}`, ...harmless]],
    ['Install', ['WantedBy=multi-user.target']],
  ]);
  return { name: FULL, text, wantedBy: 'multi-user.target' };
}

function watching(installation: Installation): Unit {
  const text = unitText([
    [
      'Unit',
      ['Description=Weft: mends what others change of the guests’ networks', mounts(installation), `Wants=${FULL}`, `After=${FULL}`],
    ],
    [
      'Service',
      ['Type=exec', `ExecStart=${command(installation, 'watch')}`, 'Restart=always', 'RestartSec=5', 'KillMode=process', ...harmless],
    ],
    ['Install', ['WantedBy=multi-user.target']],
  ]);
  return { name: WATCH, text, wantedBy: 'multi-user.target' };
}

const mounts = ({ program, stateDir }: Installation): string =>
  `RequiresMountsFor=${[...new Set([stateDir, ...program.map((path) => dirname(path))])].map(word).join(' ')}`;

/** Without a record there is nothing to do, and Node is not even started. */
const needsRecord = ({ stateDir }: Installation): string => `ConditionPathExists=${specifierFree(stateDir)}/applied.json`;

/** KillMode: what `restore` starts (dnsmasq, the recorder) belongs to the unit and outlives its command; stopping the unit must not cut the guests off. */
const oneshot = (run: string): string[] => [
  'Type=oneshot',
  'RemainAfterExit=yes',
  `ExecStart=${run}`,
  'KillMode=process',
  'TimeoutStartSec=300',
];

/** Nothing Weft or the programs it starts need. */
const harmless: readonly string[] = [
  'NoNewPrivileges=yes',
  'LockPersonality=yes',
  'RestrictRealtime=yes',
  'SystemCallArchitectures=native',
];

const command = ({ program, stateDir, runDir }: Installation, ...words: string[]): string =>
  [...program, ...words, '--state-dir', stateDir, '--run-dir', runDir].map(word).join(' ');

/** A word of a command line in a unit file: specifiers and variables are written twice, what else is special goes between quotes. */
function word(text: string): string {
  const plain = specifierFree(text).replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

const specifierFree = (text: string): string => text.replaceAll('%', '%%');

function unitText(sections: readonly (readonly [string, readonly string[]])[]): string {
  return `${UNIT_MARK}\n${sections.map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`).join('\n')}`;
}
