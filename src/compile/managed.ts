/** The uplink where Weft sets it up itself (`manage: true`): addresses of its own, each alone, and default routes by gateways that need be in no subnet of it. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Address, HostFacts, Route } from '../hoststate/model.ts';

/** What of it nobody else has put there. */
export function managedUplink({ uplink }: HostFacts): { readonly addresses: readonly Address[]; readonly routes: readonly Route[] } {
  if (!uplink?.managed) return { addresses: [], routes: [] };
  const link = uplink.name;
  return {
    addresses: uplink.managed.addresses.map((address) => ({ link, address })),
    routes: uplink.managed.gateways.map((via): Route => ({ prefix: via.includes(':') ? '::/0' : '0.0.0.0/0', link, via, onlink: true })),
  };
}

/** `default-route-in-use` (error). */
export function managedProblems({ uplink }: HostFacts): Diagnostic[] {
  return (uplink?.managed?.rivals ?? []).map(({ prefix, via, link }): Diagnostic => {
    const isV6 = prefix.includes(':');
    const words = `${via === undefined ? '' : ` via ${via}`}${link === undefined ? '' : ` dev ${link}`}`;
    return {
      code: 'default-route-in-use',
      severity: 'error',
      message: `This host has another ${isV6 ? 'IPv6' : 'IPv4'} default route already (\`default${words}\`), which \`manage: true\` would take the place of; write that gateway in the file, or take the route away (\`ip ${isV6 ? '-6 ' : ''}route del default${words}\`, unless your connection to this host needs it), or take \`manage\` out.`,
    };
  });
}
