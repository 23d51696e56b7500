/**
 * Follows what changes in a namespace's kernel, as `nft monitor` and `ip monitor` tell it. Nothing is concluded from the events but that something has
 * changed: whoever is told looks for itself, so a lost event is no lost truth, and the kernel says when it has lost some (ENOBUFS, netlink(7)).
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kernel } from './kernel.ts';
import { startLineProcess, type LineProcess } from './line-process.ts';
import { until } from './processes.ts';

/** Who made a change of the ruleset: only nftables tells. The process may have ended since. */
export interface Culprit {
  readonly process: string;
  readonly pid: number;
}

export interface RulesChange {
  readonly generation: number;
  readonly by: Culprit;
  /** The lines of the change, such as `delete rule inet weft forward handle 12`. */
  readonly lines: readonly string[];
}

export interface FollowListeners {
  readonly onRules: (change: RulesChange) => void;
  /** `[LINK]12: w-web: <BROADCAST,…`, `[ADDR]…`, `[ROUTE]…`, `[NEIGH]…` (ip-monitor(8)). */
  readonly onNetwork: (line: string) => void;
  /** Events may have been missed: everything has to be looked at. */
  readonly onLost: () => void;
}

export interface Following {
  stop(): Promise<void>;
}

/** A monitor that ends is started again after this. */
const RESTART_MS = 1000;
/** Of a change larger than this only the beginning is kept. */
export const KEPT_LINES = 200;

/** Resolves once both monitors listen. Throws WeftError `program-missing`. */
export async function followChanges(kernel: Kernel, listeners: FollowListeners): Promise<Following> {
  const rules = rulesReader(listeners.onRules);
  const monitors = [
    keepRunning(kernel, 'nft', ['monitor'], (line) => (line.startsWith('# ERROR') ? listeners.onLost() : rules(line)), listeners.onLost),
    keepRunning(
      kernel,
      'ip',
      // A receive buffer for some thousand links made at once.
      ['-rcvbuf', '4194304', '-o', 'monitor', 'label', 'link', 'address', 'route', 'neigh'],
      listeners.onNetwork,
      listeners.onLost,
    ),
  ];
  await Promise.all(monitors.map((monitor) => monitor.listening));
  return { stop: async () => void (await Promise.all(monitors.map((monitor) => monitor.stop()))) };
}

/** Pure but for what it keeps: lines come first, and then who made the change that they are. */
export function rulesReader(onRules: (change: RulesChange) => void): (line: string) => void {
  let lines: string[] = [];
  return (line) => {
    const [, generation, pid, process] = /^# new generation (\d+) by process (\d+) \((.*)\)$/.exec(line) ?? [];
    if (generation === undefined) {
      if (lines.length < KEPT_LINES) lines.push(line);
      return;
    }
    onRules({ generation: Number(generation), by: { process: process ?? '', pid: Number(pid) }, lines });
    lines = [];
  };
}

interface Monitor {
  readonly listening: Promise<unknown>;
  stop(): Promise<void>;
}

function keepRunning(
  kernel: Kernel,
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
  onLost: () => void,
): Monitor {
  let stopped = false;
  let current: LineProcess;
  const start = (): LineProcess =>
    // A monitor does not read its input: it has to be told of our end in another way (prctl(2), PR_SET_PDEATHSIG).
    startLineProcess(kernel, 'setpriv', ['--pdeathsig', 'KILL', '--', kernel.programPath(program), ...args], {
      onLine,
      onErrorLine: onLost,
    });
  const again = async (): Promise<void> => {
    for (;;) {
      await current.ended;
      if (stopped) return;
      await sleep(RESTART_MS);
      if (stopped) return;
      current = start();
      await listens(current.pid);
      onLost();
    }
  };
  current = start();
  const over = again();
  return {
    listening: listens(current.pid),
    stop: async () => {
      stopped = true;
      await current.stop('SIGTERM');
      await over;
    },
  };
}

/** The process has a netlink socket that is subscribed to something: /proc/PID/net/netlink, where the port number is the process's own (netlink(7)). */
const listens = (pid: number | undefined): Promise<boolean> =>
  until(() => netlinkSockets(pid).some(([, , port, groups]) => port === String(pid) && !/^0+$/.test(groups ?? '0')), 5000);

function netlinkSockets(pid: number | undefined): string[][] {
  try {
    return readFileSync(`/proc/${pid}/net/netlink`, 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/));
  } catch {
    return [];
  }
}
