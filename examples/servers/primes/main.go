// Command primes says of each number that it is sent whether it is prime. It
// looks that up in a table, which it makes before it accepts its first connection.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"strconv"

	"github.com/apphost/apphost/sdk/tcp"
)

const most = 1_000_000

func main() {
	composite := sieve(most)
	for {
		c, err := tcp.Accept()
		if err != nil {
			log.Fatal(err)
		}
		serve(c, composite)
		_ = c.Close()
	}
}

// serve answers line by line until the client is done, or gone.
func serve(c net.Conn, composite []bool) {
	in := bufio.NewScanner(c)
	for in.Scan() {
		if _, err := fmt.Fprintln(c, answer(in.Text(), composite)); err != nil {
			return
		}
	}
}

func answer(line string, composite []bool) string {
	n, err := strconv.Atoi(line)
	switch {
	case err != nil || n < 0 || n > most:
		return fmt.Sprintf("%q is not a number from 0 to %d", line, most)
	case composite[n]:
		return fmt.Sprintf("%d is not prime", n)
	}
	return fmt.Sprintf("%d is prime", n)
}

// sieve says of each number up to n whether it is not prime.
func sieve(n int) []bool {
	composite := make([]bool, n+1)
	composite[0], composite[1] = true, true
	for p := 2; p*p <= n; p++ {
		if composite[p] {
			continue
		}
		for m := p * p; m <= n; m += p {
			composite[m] = true
		}
	}
	return composite
}
