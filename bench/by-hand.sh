#!/bin/sh
# The peer: what a person writes by hand for N guests on one bridge with ten rules each, one process per command.
# by-hand.sh N makes them; by-hand.sh N down removes them again.
set -eu
n=$1
if [ "${2:-}" = down ]; then
  i=0
  while [ "$i" -lt "$n" ]; do
    ip link del dev "h-$i"
    i=$((i + 1))
  done
  ip link del dev hand
  nft delete table inet hand
  exit
fi
ip link add name hand type bridge
ip addr add 10.99.0.1/16 dev hand
ip link set dev hand up
nft add table inet hand
nft 'add chain inet hand forward { type filter hook forward priority 0; policy accept; }'
nft 'add rule inet hand forward ct state established,related accept'
i=0
while [ "$i" -lt "$n" ]; do
  address=10.99.$((i / 250)).$((i % 250 + 2))
  ip tuntap add dev "h-$i" mode tap
  ip link set dev "h-$i" master hand
  bridge link set dev "h-$i" isolated on learning off
  ip neigh add "$address" lladdr "$(printf '02:00:00:00:%02x:%02x' $((i / 250)) $((i % 250)))" dev hand nud permanent
  ip link set dev "h-$i" up
  r=0
  while [ "$r" -lt 10 ]; do
    nft "add rule inet hand forward ip saddr $address ip daddr 10.99.0.$((r + 2)) tcp dport $((1024 + r)) accept"
    r=$((r + 1))
  done
  i=$((i + 1))
done
nft 'add rule inet hand forward iifname "hand" drop'
