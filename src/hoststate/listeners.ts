/** Reads `ss -lntu` (ss(8)): the sockets of this host that wait for somebody. */

export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  /** Undefined: every address of its families. */
  readonly address?: string;
  readonly families: readonly (4 | 6)[];
  /** The only interface it hears. */
  readonly link?: string;
  /** As far as ss was asked for it (`-p`) and may know it. */
  readonly program?: string;
}

/** Sockets of lines such as `tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))`; what is none is left out. */
export function readListeners(text: string): Listener[] {
  return text.split('\n').flatMap((line): Listener[] => {
    const [protocol, , , , local = ''] = line.trim().split(/\s+/);
    if (protocol !== 'tcp' && protocol !== 'udp') return [];
    // `[fe80::1]%eth0:546`, `127.0.0.53%lo:53`, `*:22`
    const match = /^(\[[^\]]*\]|[^%[\]]*?)(?:%([^:]+))?:(\d+)$/.exec(local);
    if (!match) return [];
    const [, where = '', link, port] = match;
    const address = where.replace(/^\[|\]$/g, '');
    const anywhere = address === '*' || address === '::' || address === '0.0.0.0';
    const program = /users:\(\("([^"]*)"/.exec(line)?.[1];
    return [
      {
        protocol,
        port: Number(port),
        ...(anywhere ? {} : { address }),
        families: address === '*' ? [4, 6] : address.includes(':') ? [6] : [4],
        ...(link === undefined ? {} : { link }),
        ...(program === undefined ? {} : { program }),
      },
    ];
  });
}
