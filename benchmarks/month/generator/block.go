package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

const (
	perBlock = 54 * hour // the usual size of a block after compaction
	perChunk = 120       // samples, as Prometheus itself writes them
)

type counts struct{ onTime, late uint64 }

// writeBlocks plays the month block by block, each series in turn: that is the order that an index needs.
func writeBlocks(o options, all []*series) (counts, error) {
	written := counts{}
	for from := o.begin; from < o.end(); from += perBlock {
		time := span{from, min(from+perBlock, o.end())}
		onTime, err := newBlock(o, filepath.Join(o.out, "blocks"), time)
		if err != nil {
			return written, err
		}
		late, err := newBlock(o, filepath.Join(o.out, "late"), time)
		if err != nil {
			return written, err
		}
		for _, one := range all {
			if err := play(one, time, onTime, late); err != nil {
				return written, err
			}
		}
		for _, block := range []*block{onTime, late} {
			if err := block.close(); err != nil {
				return written, err
			}
		}
		written.onTime += onTime.stats.NumSamples
		written.late += late.stats.NumSamples
	}
	return written, nil
}

// play one series through the time of one block.
func play(one *series, time span, onTime, late *block) error {
	for at := one.pod.firstScrape(time.from); at < time.to; at += interval {
		found := one.scrape(at)
		if found == nothing && at >= one.pod.alive.to {
			break
		}
		if found == nothing {
			continue
		}
		number := one.value
		if found == staleMarker {
			number = math.Float64frombits(value.StaleNaN)
		}
		if one.isLate(at) {
			late.append(at, number)
		} else {
			onTime.append(at, number)
		}
	}
	for _, block := range []*block{onTime, late} {
		if err := block.finish(one.labels); err != nil {
			return err
		}
	}
	return nil
}

// block is one of the TSDB's, being written: chunks as they come, series in the order of their labels.
type block struct {
	folder  string
	time    span
	id      ulid.ULID
	chunks  *chunks.Writer
	entries []entry
	stats   tsdb.BlockStats
	current []chunks.Meta
	into    chunkenc.Appender
}

type entry struct {
	labels labels.Labels
	chunks []chunks.Meta
}

func newBlock(o options, folder string, time span) (*block, error) {
	r := o.random(fmt.Sprintf("block/%s/%d", filepath.Base(folder), time.from))
	id := ulid.ULID{}
	if err := id.SetTime(uint64(time.to)); err != nil {
		return nil, err
	}
	for n := 6; n < len(id); n++ {
		id[n] = byte(r.Uint32())
	}
	made := &block{folder: filepath.Join(folder, id.String()), time: time, id: id}
	writer, err := chunks.NewWriter(filepath.Join(made.folder, "chunks"))
	made.chunks = writer
	return made, err
}

func (b *block) append(at int64, number float64) {
	last := len(b.current) - 1
	if last < 0 || b.current[last].Chunk.NumSamples() >= perChunk {
		chunk := chunkenc.NewXORChunk()
		into, err := chunk.Appender()
		if err != nil {
			panic(err) // an empty chunk always has one
		}
		b.into = into
		b.current = append(b.current, chunks.Meta{Chunk: chunk, MinTime: at})
		last++
	}
	b.into.Append(0, at, number)
	b.current[last].MaxTime = at
	b.stats.NumSamples++
}

// finish the series whose samples were appended.
func (b *block) finish(found labels.Labels) error {
	if len(b.current) == 0 {
		return nil
	}
	if err := b.chunks.WriteChunks(b.current...); err != nil {
		return err
	}
	for n := range b.current {
		b.current[n].Chunk = nil // written: only its place is needed
	}
	b.stats.NumSeries++
	b.stats.NumChunks += uint64(len(b.current))
	b.entries = append(b.entries, entry{found, slices.Clone(b.current)})
	b.current = b.current[:0]
	return nil
}

// close writes the index and the description; a block without samples is removed.
func (b *block) close() error {
	if err := b.chunks.Close(); err != nil {
		return err
	}
	if len(b.entries) == 0 {
		return os.RemoveAll(b.folder)
	}
	if err := b.writeIndex(); err != nil {
		return err
	}
	b.stats.NumFloatSamples = b.stats.NumSamples
	meta := tsdb.BlockMeta{ULID: b.id, MinTime: b.time.from, MaxTime: b.time.to, Stats: b.stats, Version: 1}
	meta.Compaction = tsdb.BlockMetaCompaction{Level: 1, Sources: []ulid.ULID{b.id}}
	text, err := json.MarshalIndent(meta, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.folder, "meta.json"), text, 0o644)
}

func (b *block) writeIndex() error {
	writer, err := index.NewWriter(context.Background(), filepath.Join(b.folder, "index"))
	if err != nil {
		return err
	}
	symbols := map[string]struct{}{}
	for _, one := range b.entries {
		one.labels.Range(func(l labels.Label) { symbols[l.Name], symbols[l.Value] = struct{}{}, struct{}{} })
	}
	for _, symbol := range slices.Sorted(maps.Keys(symbols)) {
		if err := writer.AddSymbol(symbol); err != nil {
			return err
		}
	}
	for n, one := range b.entries {
		if err := writer.AddSeries(storage.SeriesRef(n+1), one.labels, one.chunks...); err != nil {
			return err
		}
	}
	return writer.Close()
}
