// Package conn implements the conn ABI (see sdk/abi): a guest serves one raw
// connection with blocking calls. Each connection has an instance of its own,
// in the state that _initialize and child_init leave a fresh one in.
//
// Whatever numbers a guest passes, a host function returns: a pointer outside
// the memory is -EFAULT.
package conn
