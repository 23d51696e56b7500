/**
 * Port numbers on which Weft's own services listen. They are shared by what starts the services and by the nftables rules that
 * send the guests' packets there.
 */

/**
 * DNS on the bridges. Not 53: dnsmasq cannot bind beside a server that holds 0.0.0.0:53. nftables redirects port 53 at the gateways
 * to it, so guests and the host never see this number.
 */
export const WEFT_DNS_PORT = 53053;

/** Where the relay listens, on addresses in 127.87.0.0/16 of the host: for Weft's own resolvers only. */
export const WEFT_RELAY_PORT = 53054;
