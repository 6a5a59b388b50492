// Package logs owns the server's log files: Table opens them, keeps them over
// generations and reopens them, in the master; Stream is how a process writes
// to one, and how it changes over to another file between two records.
//
// The package knows no processes: who has to change over, and when, is for the
// model to say.
package logs
