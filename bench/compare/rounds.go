package main

import (
	"errors"
	"fmt"

	"github.com/apphost/apphost/bench/internal/result"
)

// spec is a case before it is run.
type spec struct {
	name, title string
	unit        string
	less        bool
	targets     []result.Target

	// A case under load has a mode of the client, and contenders.
	mode        string
	connections int
	contenders  []contender

	// Other cases measure themselves, and return their series.
	other func(b *bed) ([]result.Series, error)
}

// entrant is a contender that has started.
type entrant struct {
	running
	series result.Series
}

// measure runs the case.
func (s spec) measure(b *bed) (result.Case, error) {
	c := result.Case{Name: s.name, Title: s.title, Unit: s.unit, Less: s.less, Targets: s.targets}
	var err error
	if s.other != nil {
		c.Series, err = s.other(b)
		return c, err
	}
	entrants, err := s.start(b)
	if err == nil {
		err = s.run(b, entrants)
	}
	for _, e := range entrants {
		fault := e.proc.End()
		switch {
		case fault != nil && e.series.Ours:
			err = errors.Join(err, fmt.Errorf("end %s: %w", e.series.Name, fault))
		case fault != nil && b.ctx.Err() == nil:
			b.skip(e.series.Name+" in "+s.name, fmt.Errorf("it ended badly: %w", fault))
			e.series.Values = nil
		}
		if len(e.series.Values) > 0 {
			c.Series = append(c.Series, e.series)
		}
	}
	return c, err
}

// start starts whoever can take part. Ours have to.
func (s spec) start(b *bed) ([]*entrant, error) {
	if _, err := b.client(); err != nil {
		return nil, err
	}
	var entrants []*entrant
	for _, c := range s.contenders {
		if !c.ours && !b.peers.MatchString(c.name) {
			continue
		}
		r, err := c.start(b)
		switch {
		case b.ctx.Err() != nil:
			if err == nil {
				err = r.proc.End()
			}
			return entrants, errors.Join(b.ctx.Err(), err)
		case err != nil && c.ours:
			return entrants, fmt.Errorf("%s: %w", c.name, err)
		case err != nil:
			b.skip(c.name, err)
		default:
			entrants = append(entrants, &entrant{r, result.Series{Name: c.name, Ours: c.ours}})
		}
	}
	return entrants, nil
}

// run takes the rounds in turns. Each begins with the next one, so that nobody
// always comes after the same one.
func (s spec) run(b *bed, entrants []*entrant) error {
	for round := range b.rounds {
		for i := range entrants {
			if err := s.turn(b, entrants[(i+round)%len(entrants)], round == b.rounds-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn is one round of one of them. A peer that fails is out, with all its rounds.
func (s spec) turn(b *bed, e *entrant, last bool) error {
	if _, out := b.skips[e.series.Name+" in "+s.name]; out {
		return nil
	}
	c, err := b.load(e.running, s.mode, s.connections)
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	if err == nil && last {
		e.series.PSSMiB, err = treePSS(e.proc)
	}
	if err != nil && e.series.Ours {
		return fmt.Errorf("%s: %w", e.series.Name, err)
	}
	if err != nil {
		b.skip(e.series.Name+" in "+s.name, err)
		e.series = result.Series{Name: e.series.Name}
		return nil
	}
	value := c.rate()
	if s.less {
		value = c.cpuMicros()
	}
	e.series.Values = append(e.series.Values, value)
	e.series.CPUMicros = append(e.series.CPUMicros, c.cpuMicros())
	e.series.P99Micros = append(e.series.P99Micros, c.P99)
	e.series.Failed += c.Failed
	return nil
}
