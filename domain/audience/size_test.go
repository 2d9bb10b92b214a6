package audience

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// endless repeats text until n bytes were read.
type endless struct {
	text string
	n    int
	off  int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), e.n)], e.text[e.off:])
	e.n, e.off = e.n-n, (e.off+n)%len(e.text)
	return n, nil
}

// Not parallel: it measures the heap.
func TestMemoryIsFlat(t *testing.T) {
	memory := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	const size, slack = 8 << 20, 2 << 20
	for name, body := range map[string]string{
		"many rows":                 "+250788123456,rw-RW\n",
		"many bad rows":             "+250788123456,\"rw-RW\n",
		"one giant line":            strings.Repeat("x", 1000),
		"one giant quote":           strings.Repeat("\"", 1000),
		"lines of 1 MB":             strings.Repeat("x,", 1<<19) + "\n",
		"delimiters":                strings.Repeat(",", maxLine-1) + "x\n",
		"locales that do not exist": "+250788123456," + strings.Repeat("z", 50_000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(io.MultiReader(strings.NewReader("msisdn,locale\n"), &endless{text: body, n: size}), Options{})
			require.NoError(t, err)
			before, seen := memory(), 0
			for err != io.EOF {
				if _, err = r.Next(); err != nil && err != io.EOF {
					require.ErrorAs(t, err, new(*BadLine))
				}
				if seen++; seen%100_000 == 0 {
					require.Less(t, memory().HeapAlloc, before.HeapAlloc+slack)
				}
			}
			after := memory()
			runtime.KeepAlive(r)
			require.Less(t, after.HeapAlloc, before.HeapAlloc+slack, "keeps nothing")
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(slack+2*maxLine*seen), "takes no more than a line at a time")
		})
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	_, err := NewReader(iotest.ErrReader(broken), Options{})
	require.ErrorIs(t, err, broken)

	// The last line is torn: it must not count as a row, though it would make one.
	r, err := NewReader(io.MultiReader(strings.NewReader("msisdn\n+250788123456\n+35679123456"), iotest.ErrReader(broken)), Options{})
	require.NoError(t, err)
	_, err = r.Next()
	require.NoError(t, err)
	_, err = r.Next()
	require.ErrorIs(t, err, broken)
	require.NotErrorAs(t, err, new(*BadLine))

	rows, bad := read(t, "msisdn\n+250788123456", Options{})
	require.Empty(t, bad)
	require.Len(t, rows, 1)
}

func TestSlowReader(t *testing.T) {
	t.Parallel()
	r, err := NewReader(iotest.OneByteReader(strings.NewReader("\uFEFFmsisdn\n+250788123456\n+35679123456\n")), Options{})
	require.NoError(t, err)
	rows, bad := all(t, r)
	require.Empty(t, bad)
	require.Len(t, rows, 2)
}

func BenchmarkReader(b *testing.B) {
	const n = 10_000
	for name, format := range map[string]string{
		"plain":  "+25078%07d,Aline Uwase,Repub Lounge,rw-RW\n",
		"quoted": "\"+25078%07d\",\"Aline Uwase\",\"Repub Lounge\",\"rw-RW\"\n",
		"spaced": "+250 78 %07d,Aline Uwase,Repub Lounge,rw-RW\n",
	} {
		b.Run(name, func(b *testing.B) {
			var file bytes.Buffer
			file.WriteString("phone,name,bar,locale\n")
			for i := range n {
				fmt.Fprintf(&file, format, i)
			}
			b.SetBytes(int64(file.Len()))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(file.Bytes()), Options{Country: "RW", Variables: bar})
				if err != nil {
					b.Fatal(err)
				}
				for range n {
					if _, err := r.Next(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}
