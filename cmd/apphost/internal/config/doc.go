// Package config turns the configuration file and the plugin folder into
// settings that are already checked.
//
// Invariants:
//   - Load returns either settings that mpm and host accept, or every fault
//     it found, in the order of the file: the reader mends a file once.
//   - A fault is one line: file, line and column, the full key, what is wrong
//     and what to do.
//   - A value is never bent: out of range is a fault.
//   - The words of the file appear in this package only; the types of mpm and
//     host know nothing of TOML.
package config
