// Package sock looks at sockets in ways that package net does not have.
package sock
