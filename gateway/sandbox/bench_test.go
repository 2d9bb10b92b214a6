package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkMessages is messages a second over loopback, client and sandbox on the same cores: -cpu 1.
func BenchmarkMessages(b *testing.B) { benchmarkMessages(b, "") }

// BenchmarkMessagesLimited is the same with every limit on and a fault that strikes nobody: what they cost.
func BenchmarkMessagesLimited(b *testing.B) {
	benchmarkMessages(b, `{"rate_per_second":100000,"pair_interval_ms":1,"pair_burst":1000,"tier_recipients":100000000,"user_capped":1e-18}`)
}

func benchmarkMessages(b *testing.B, settings string) {
	w := start(b, Config{})
	if settings != "" {
		w.set(settings)
		w.fault(`{"kind":"outage","share":0,"for":"1h"}`)
	}
	client := w.client
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			to := "+25078" + strconv.FormatInt(10_000_000+n.Add(1), 10)
			if _, err := client.Send(context.Background(), newMessage(to, "01890a5d-ac96-774b-bcce-b302099a8057/"+to[1:]+"/1")); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	require.EqualValues(b, b.N, w.stats().Received)
	require.Zero(b, w.stats().Duplicates)
}

// BenchmarkOpen is a restart with b.N messages: time and memory a message.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j, err := openJournal(filepath.Join(dir, "messages.jsonl"), nil)
	require.NoError(b, err)
	for i := range b.N {
		to := fmt.Sprintf("+25078%08d", i)
		object, err := json.Marshal(message{MessageID: newMessageID(), To: to, Template: "promo_generic", Language: "rw_RW",
			Parameters: []parameter{{"name", "Aline"}}, CallbackData: "01890a5d-ac96-774b-bcce-b302099a8057/" + to[1:] + "/1"})
		require.NoError(b, err)
		require.NoError(b, j.append(object, nil))
	}
	require.NoError(b, j.Close())
	info, err := os.Stat(j.path)
	require.NoError(b, err)
	before := heapBytes()
	b.ResetTimer()
	w := start(b, Config{Dir: dir})
	b.StopTimer()
	b.ReportMetric(float64(heapBytes()-before)/float64(b.N), "heap-B/message")
	b.ReportMetric(float64(info.Size())/float64(b.N), "disk-B/message")
	require.EqualValues(b, b.N, w.stats().UniqueRecipients)
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
