//! What the network says decides neither a path, nor an address, nor what a terminal does; and TLS and proxies.

mod addresses;
