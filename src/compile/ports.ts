/**
 * Port numbers on which Weft's own services listen. They are shared by what starts the services and by the nftables rules that
 * send the guests' packets there.
 */

/**
 * DNS on the bridges. Not 53: dnsmasq cannot bind beside a server that holds 0.0.0.0:53. nftables redirects port 53 at the gateways
 * to it, so guests and the host never see this number.
 */
export const WEFT_DNS_PORT = 53053;
