package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
)

func routesCommand(configPath *string, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "routes -c FILE",
		Short: "Print what answers which HTTP request",
		Long: `routes reads the configuration and prints what the http listeners answer, in
the order in which a request finds it: the first line whose host, method and
path match is the one. A path that ends in "/" is for everything below it.
It asks no running server.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := namedConfig(*configPath)
			if err != nil {
				return err
			}
			return printRoutes(cmd.Context(), path, stdout)
		},
	}
}

func printRoutes(ctx context.Context, configPath string, w io.Writer) error {
	settings, err := config.Load(configPath)
	if err != nil {
		return err
	}
	printWarnings(w, settings.Warnings)
	if !settings.Host.ServesHTTP() {
		_, err := fmt.Fprintln(w, `there is no [[listen]] section with protocol "http"`)
		return err
	}
	if settings.Status.Path != "" {
		settings.Host.Mounts = append(settings.Host.Mounts, statusMount(settings.Status))
	}
	list := host.Routes(ctx, &settings.Host)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tMETHODS\tPATH\tHANDLER")
	for _, r := range list {
		methods := strings.Join(r.Methods, ",")
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", orStar(r.Host), orStar(methods), nameText(r.Path), r.Handler)
	}
	return table.Flush()
}

func orStar(s string) string {
	if s == "" {
		return "*"
	}
	return s
}
