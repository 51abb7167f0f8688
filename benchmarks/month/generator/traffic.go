package main

import (
	"math"
	"math/rand/v2"
)

// load is the rate of a service at an instant, in requests a second: a day, a weekend, bursts.
func (s *service) load(t int64) float64 {
	if s.class.burst {
		if into := (t/minute)%60 - s.minuteOf; into < 0 || into >= 10 {
			return 0
		}
	}
	rate := s.rate * (1 + s.swing*math.Sin(2*math.Pi*float64((t+s.phase)%day)/float64(day)))
	if weekday := (t/day + 4) % 7; weekday == 0 || weekday == 6 {
		rate *= s.weekend
	}
	return rate
}

// failing is the share of 5xx at an instant.
func (s *service) failing(t int64) float64 {
	for _, one := range s.incidents {
		if one.has(t) {
			return one.share
		}
	}
	return s.errors
}

// part of the requests that a series counts: its method, then its code.
func part(method, code string, failing float64) float64 {
	share := 0.7
	if method == "POST" {
		share = 0.3
	}
	switch code {
	case "500":
		return share * failing
	case "404":
		return share * 0.02
	default:
		return share * (0.98 - failing)
	}
}

// poisson draws how many events happen where so many are expected.
func poisson(r *rand.Rand, expected float64) int64 {
	switch {
	case expected <= 0:
		return 0
	case expected < 15: // by inversion: walk up the distribution
		left := r.Float64()
		if left < 1-expected { // e^-x is at least that
			return 0
		}
		p := math.Exp(-expected)
		n := int64(0)
		for left >= p && n < 100 {
			left -= p
			n++
			p *= expected / float64(n)
		}
		return n
	default: // close enough to a normal distribution for traffic
		return max(0, int64(math.Round(expected+math.Sqrt(expected)*r.NormFloat64())))
	}
}
