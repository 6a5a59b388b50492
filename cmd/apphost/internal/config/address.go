package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// checkAddress returns a HOST:PORT in the form in which two that name the
// same socket are equal.
func checkAddress(address string) (normal string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", addressFault(address)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strings.HasPrefix(port, "+") {
		return "", fmt.Errorf("must end in a port from 0 to 65535, got %q", address)
	}
	if host == "*" {
		return "", fmt.Errorf(`write ":%s" for every address, got %q`, port, address)
	}
	if host == "" {
		host = "::" // which is what listening on no host means
	} else if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	} else if !isHostName(host) {
		return "", fmt.Errorf("must begin with an IP address or a host name, got %q", address)
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(number, 10)), nil
}

// addressFault says what an address without a HOST:PORT form lacks.
func addressFault(address string) error {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		return fmt.Errorf(`must be HOST:PORT; write "127.0.0.1:%s", or ":%s" for every address`, address, address)
	}
	// Of "fe80::1:80" nobody can tell whether 80 is a port.
	if beforeLast := address[:max(0, strings.LastIndexByte(address, ':'))]; isIPv6(address) || isIPv6(beforeLast) {
		return fmt.Errorf(`an IPv6 address goes in brackets, then comes the port, such as "[::1]:8080", got %q`, address)
	}
	if _, err := netip.ParseAddr(address); err == nil || isHostName(address) {
		return fmt.Errorf("has no port; write %q", address+":8080")
	}
	if address == "" {
		return errors.New(`must be HOST:PORT, such as "127.0.0.1:8080", got ""`)
	}
	return fmt.Errorf(`must be HOST:PORT, such as "127.0.0.1:8080", got %q`, address)
}

func isIPv6(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Is6()
}

// isHostName allows what a resolver takes: letters, digits, dashes, dots and,
// as container networks use it, the underscore.
func isHostName(host string) bool {
	if host == "" || len(host) > 253 || host[0] == '-' || host[0] == '.' {
		return false
	}
	// Digits and dots alone are a mistyped IP address.
	digitsOnly := true
	for _, r := range strings.ToLower(host) {
		switch {
		case r >= 'a' && r <= 'z', r == '-', r == '_':
			digitsOnly = false
		case r >= '0' && r <= '9', r == '.':
		default:
			return false
		}
	}
	return !digitsOnly
}
