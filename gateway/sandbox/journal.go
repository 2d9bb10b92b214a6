package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// journal is a file of JSON objects, one a line, each with a growing id and the time it came. append
// returns after the write call, so a kill -9 loses nothing that append returned for; a line torn by one
// is dropped at the next open. Memory holds one offset a line.
type journal struct {
	path string
	wake []chan struct{} // poked after every append

	mu     sync.Mutex
	file   *os.File
	first  int64   // the id of the first line
	starts []int64 // where each line starts
	size   int64   // where the next line starts; what lies beyond is torn and gets overwritten
	line   []byte
}

// timeFormat is RFC 3339 with microseconds.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// openJournal opens the file, or makes it, and shows each line to each (nil for nobody).
func openJournal(path string, each func(line []byte) error) (*journal, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createJournal(path, 1); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, file: file}
	if err := j.load(each); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return j, nil
}

// createJournal puts an empty journal in place of whatever is there, at once. The ids of lines already
// deleted are not given out again, so its first line says where ids go on.
func createJournal(path string, nextID int64) error {
	return replaceFile(path, fmt.Appendf(nil, "{\"next_id\":%d}\n", nextID))
}

func (j *journal) load(each func(line []byte) error) error {
	reader := bufio.NewReaderSize(j.file, 1<<20)
	head, err := reader.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no first line: %w", err)
	}
	var h struct {
		NextID int64 `json:"next_id"`
	}
	if err := json.Unmarshal(head, &h); err != nil || h.NextID < 1 {
		return fmt.Errorf("the first line is not a journal's: %w", err)
	}
	j.first, j.size = h.NextID, int64(len(head))
	for {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return nil // a torn line, if any, ends here
		}
		if err == nil && each != nil {
			err = each(line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", len(j.starts)+2, err)
		}
		j.starts = append(j.starts, j.size)
		j.size += int64(len(line))
	}
}

// append writes one line: id, received_at and the fields of object, a JSON object. Under the same lock
// it then calls done (nil for nothing), so that what done counts is what the journal holds.
func (j *journal) append(object []byte, done func()) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := append(j.line[:0], `{"id":`...)
	b = strconv.AppendInt(b, j.lastLocked()+1, 10)
	b = append(b, `,"received_at":"`...)
	b = time.Now().UTC().AppendFormat(b, timeFormat)
	b = append(b, `",`...)
	b = append(b, object[1:]...)
	b = append(b, '\n')
	j.line = b
	// At an offset, not at the end: after a short write (disk full) the next line covers the torn one.
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		return err
	}
	j.starts = append(j.starts, j.size)
	j.size += int64(len(b))
	if done != nil {
		done()
	}
	for _, w := range j.wake {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return nil
}

// reset deletes every line, on disk too, and calls done under the same lock.
func (j *journal) reset(done func()) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	next := j.lastLocked() + 1
	if err := createJournal(j.path, next); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	_ = j.file.Close() // nothing is left in it to lose
	j.file, j.first, j.starts, j.size = file, next, nil, info.Size()
	done()
	return nil
}

// last is the id of the newest line ever, 0 before there was one.
func (j *journal) last() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lastLocked()
}

func (j *journal) lastLocked() int64 { return j.first + int64(len(j.starts)) - 1 }

// deleted says whether the line with this id is gone.
func (j *journal) deleted(id int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return id < j.first
}

// lines is a stretch of a journal as it was at one moment; close it.
type lines struct {
	io.Reader
	io.Closer
	before int64 // the id before the first of these lines
	count  int
}

// after returns up to limit lines (negative: all) with ids above id.
func (j *journal) after(id int64, limit int) (lines, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := min(max(id-j.first+1, 0), int64(len(j.starts)))
	out := lines{Reader: bytes.NewReader(nil), Closer: io.NopCloser(nil), before: j.first + from - 1, count: len(j.starts) - int(from)}
	if limit >= 0 {
		out.count = min(out.count, limit)
	}
	if out.count == 0 {
		return out, nil
	}
	// A file of its own stays readable when reset replaces the journal's.
	file, err := os.Open(j.path)
	if err != nil {
		return lines{}, err
	}
	end := j.size
	if next := int(from) + out.count; next < len(j.starts) {
		end = j.starts[next]
	}
	out.Reader, out.Closer = io.NewSectionReader(file, j.starts[from], end-j.starts[from]), file
	return out, nil
}

// writeArray writes the lines as one JSON array, streaming.
func (l lines) writeArray(w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	in := bufio.NewReaderSize(l.Reader, 64<<10)
	_ = out.WriteByte('[')
	for i := range l.count {
		if i > 0 {
			_, _ = out.WriteString(",\n")
		}
		for more := true; more; {
			piece, err := in.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				return err
			}
			more = err == bufio.ErrBufferFull
			_, _ = out.Write(bytes.TrimSuffix(piece, []byte("\n")))
		}
	}
	_, _ = out.WriteString("]\n")
	return out.Flush() // and every error before
}

// Close closes the file.
func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// replaceFile writes a whole file so that a reader, or a crash, meets either the old one or the new one.
func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
