// Program is an ordinary program: it uses standard input and output, arguments
// and environment, and knows nothing of a server. Its first line of input, or
// QUERY_STRING, says what to do.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if os.Getenv("GATEWAY_INTERFACE") == "" {
		serve()
		return
	}
	script()
}

// serve answers each line of input.
func serve() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch word, rest, _ := strings.Cut(in.Text(), " "); word {
		case "env":
			fmt.Println(os.Getenv(rest))
		case "args":
			fmt.Printf("%q\n", os.Args)
		case "log":
			fmt.Fprintln(os.Stderr, rest)
		case "exit":
			os.Exit(len(rest))
		case "forever":
			for {
				fmt.Println("more")
			}
		case "panic":
			panic(rest)
		default:
			fmt.Println("got", in.Text())
		}
	}
	fmt.Println("end of input", in.Err())
}

// script answers a request.
func script() {
	what, _, _ := strings.Cut(os.Getenv("QUERY_STRING"), "&")
	switch what {
	case "env":
		fmt.Print("Content-Type: text/plain\r\n\r\n")
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "args":
		fmt.Printf("Content-Type: text/plain\n\n%q\n", os.Args)
	case "body":
		body, err := io.ReadAll(os.Stdin)
		fmt.Printf("Content-Type: text/plain\nX-A: 1\nX-A: 2\n\n%d bytes, %v: %s", len(body), err, body)
	case "pieces":
		_, err := io.ReadAll(os.Stdin)
		fmt.Print("Content-Type: text/plain\n\n")
		for range 3 {
			fmt.Println(err)
		}
		fmt.Fprintln(os.Stderr, "still there")
	case "short":
		fmt.Print("Content-Length: 100\n\n")
		fmt.Print("some")
		fmt.Print(" more")
	case "over":
		fmt.Print("Content-Length: 5\n\n")
		fmt.Print("some")
		fmt.Print(" more")
	case "overlate":
		fmt.Print("Content-Length: 5\n\n")
		for range 9 {
			fmt.Print("12")
		}
	case "forever":
		fmt.Print("Content-Type: text/plain\n\n")
		for {
			fmt.Println("more")
		}
	case "status":
		fmt.Print("Status: 404 Nowhere\nContent-Type: text/plain\n\nnot here\n")
	case "away":
		fmt.Print("Location: https://example.com/x\n\n")
	case "local":
		fmt.Print("Location: /p/x?args\n\n")
	case "circle":
		fmt.Print("Location: /p/?circle\n\n")
	case "unescaped":
		fmt.Print("Location: /p/a b\n\n")
	case "nothing":
	case "noend":
		fmt.Print("Content-Type: text/plain\n")
	case "nocolon":
		fmt.Print("<h1>hello</h1>\n\n")
	case "badname":
		fmt.Print("Bad Name: x\n\nbody")
	case "badstatus":
		fmt.Print("Status: good\n\nbody")
	case "long":
		fmt.Print("X: " + strings.Repeat("x", 100<<10) + "\n\nbody")
	case "exit":
		fmt.Print("Content-Type: text/plain\n\nsome")
		os.Exit(3)
	case "cut":
		fmt.Print("Content-Type: text/plain\n\nsome")
		fmt.Print(" more")
		fmt.Print(" and more")
		os.Exit(3)
	case "stream":
		fmt.Print("Content-Type: text/event-stream\n\n")
		fmt.Print("data: 1\n\n")
		fmt.Print("data: 2\n\n")
		_, _ = io.ReadAll(os.Stdin) // the client has the data before it ends its body
		fmt.Print("data: 3\n\n")
	}
}
