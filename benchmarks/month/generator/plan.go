package main

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

const replicas = 3

// span is a stretch of time, in milliseconds since the epoch; its end does not belong to it.
type span struct{ from, to int64 }

func (s span) has(t int64) bool { return s.from <= t && t < s.to }

type outage struct {
	span
	blind bool // nothing is recorded at all, as when Prometheus itself is down; else `up` is 0
}

type incident struct {
	span
	share float64 // of 5xx
}

// service is what is decided once for all of its pods.
type service struct {
	name      string
	class     *class
	rate      float64
	errors    float64
	swing     float64 // of the rate between night and noon, as a share of its mean
	phase     int64
	weekend   float64
	minuteOf  int64 // of the hour, in which a batch begins
	outages   []outage
	incidents []incident
	late      []span
	pods      []*pod
}

// pod is one target of Prometheus.
type pod struct {
	service  *service
	instance string
	ordinal  int
	share    float64 // of the service's requests
	alive    span
	offset   int64   // within the scrape interval
	down     []span  // crashed until its container was started again
	failed   []int64 // the instants of scrapes that fail
	late     []span  // what was scraped then arrives late
}

// generator of random numbers of its own for each thing, so that none depends on the order of work.
func (o options) random(about string) *rand.Rand {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(about))
	return rand.New(rand.NewPCG(o.seed, sum.Sum64()))
}

func planned(o options) []*service {
	numbers := map[string]int{}
	services := []*service{}
	for _, class := range dealt(o.services) {
		name := fmt.Sprintf("%s%02d", class.name, numbers[class.name])
		numbers[class.name]++
		services = append(services, plannedService(o, name, class))
	}
	for n := range o.fleet {
		one := drawn(o.random(fmt.Sprintf("fleet/%d", n)), fmt.Sprintf("fleet%04d", n), &fleetClass)
		from := o.end() - 6*hour + int64(n%20)*interval
		one.pods = []*pod{newPod(o, one, "0-0", 0, 1, span{from, math.MaxInt64})}
		services = append(services, one)
	}
	return services
}

func plannedService(o options, name string, class *class) *service {
	r := o.random("service/" + name)
	one := drawn(r, name, class)
	// Two in a month, and two at the least: how often a gate holds is counted against what there was to hold for.
	for range max(2, 2*o.days/31) {
		from := o.begin + hour + int64(r.Float64()*float64(o.end()-o.begin-2*hour))
		length := 10*minute + int64(r.Float64()*float64(40*minute))
		one.incidents = append(one.incidents, incident{span{from, from + length}, within(r, class.trouble)})
	}
	if class.outages {
		one.outages = drawnOutages(o, r)
	}
	if class.late {
		for n := range int64(6) {
			from := o.end() - (n+1)*hour + int64(r.Float64()*float64(40*minute))
			one.late = append(one.late, span{from, from + 3*minute + int64(r.Float64()*float64(6*minute))})
		}
	}
	one.pods = generations(o, r, one)
	return one
}

func drawn(r *rand.Rand, name string, class *class) *service {
	return &service{
		name:     name,
		class:    class,
		rate:     math.Exp(within(r, [2]float64{math.Log(class.rate[0]), math.Log(class.rate[1])})),
		errors:   within(r, class.errors),
		swing:    within(r, [2]float64{0.3, 0.8}),
		phase:    int64(r.Float64() * float64(day)),
		weekend:  within(r, [2]float64{0.5, 1}),
		minuteOf: int64(r.Float64() * 50),
	}
}

func within(r *rand.Rand, ends [2]float64) float64 { return ends[0] + r.Float64()*(ends[1]-ends[0]) }

// drawnOutages are six in a month, each in a sixth of its own, and two at the least; half of them are blind.
func drawnOutages(o options, r *rand.Rand) []outage {
	found := []outage{}
	number := max(2, o.days/5)
	room := (o.end() - o.begin - 8*hour) / number
	for n := range number {
		length := 20*minute + int64(r.Float64()*float64(160*minute))
		from := o.begin + 4*hour + n*room + int64(r.Float64()*float64(room-length))
		found = append(found, outage{span{from, from + length}, n%2 == 1})
	}
	return found
}

// generations of pods: each is replaced one by one by the next, the new one ready before the old one goes.
func generations(o options, r *rand.Rand, one *service) []*pod {
	lasts := min(one.class.lasts, (o.end()-o.begin)/3)
	begin := o.begin - int64(r.Float64()*float64(lasts)) - minute
	if one.class.young {
		begin = o.end() - min(3*day, (o.end()-o.begin)*2/5)
	}
	starts := []int64{}
	for at := begin; at < o.end(); at += lasts {
		starts = append(starts, at)
	}
	if len(one.outages) > 0 { // one pod at least is replaced while nobody looks
		starts = append(starts, one.outages[0].from+(one.outages[0].to-one.outages[0].from)/2)
		slices.Sort(starts)
	}
	pods := []*pod{}
	for ordinal := range replicas {
		for n, start := range starts {
			alive := span{start + int64(ordinal)*90_000 + int64(r.Float64()*20_000), math.MaxInt64}
			if n+1 < len(starts) {
				alive.to = starts[n+1] + int64(ordinal)*90_000 + 40_000 + int64(r.Float64()*20_000)
			}
			if alive.from < o.end() && alive.to > o.begin {
				pods = append(pods, newPod(o, one, fmt.Sprintf("%d-%d", n, ordinal), ordinal, 1.0/replicas, alive))
			}
		}
	}
	return pods
}

func newPod(o options, one *service, suffix string, ordinal int, share float64, alive span) *pod {
	name := fmt.Sprintf("%s-%s:8080", one.name, suffix)
	r := o.random("pod/" + name)
	made := &pod{service: one, instance: name, ordinal: ordinal, share: share, alive: alive}
	made.offset = 1 + int64(r.Float64()*float64(interval-2))
	until := min(alive.to, o.end())
	if one.class.crashes {
		at := max(alive.from, o.begin+hour)
		for {
			at += int64(r.ExpFloat64()*float64(5*hour)) + 30_000
			if at >= until-minute {
				break
			}
			back := at + 2_000 + int64(r.Float64()*40_000)
			made.down = append(made.down, span{at, back})
			at = back
		}
	}
	if one.class.flaky {
		at := max(alive.from, o.begin+hour) + minute
		for {
			at += int64(r.ExpFloat64() * 20_000 * float64(interval))
			if at >= until-minute {
				break
			}
			made.failed = append(made.failed, made.firstScrape(o.begin+(at-o.begin)/interval*interval))
		}
	}
	if ordinal == 1 {
		made.late = one.late
	}
	return made
}

// firstScrape of the pod at or after the beginning of a scrape interval.
func (p *pod) firstScrape(from int64) int64 {
	at := from + p.offset
	if missed := p.alive.from - at; missed > 0 {
		at += (missed + interval - 1) / interval * interval
	}
	return at
}
