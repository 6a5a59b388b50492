// Package static answers requests with the files of a folder.
//
// A request's path, without the prefix that the folder is mounted at, names a
// file in it; a folder is answered with its index, if it has one. A name that
// begins with a dot is never found, but for ".well-known" (RFC 8615): what
// version control and editors leave behind is not for the world. Nothing
// outside the folder is found either, by whatever spelling or symbolic link:
// the kernel looks names up below the folder's descriptor (see os.Root). Of what
// is there, only regular files and folders count.
//
// GET and HEAD are answered with conditions and ranges (RFC 9110, sections 13 and
// 14), where the validators are the file's time and size. Of a file NAME that has
// NAME.br, NAME.zst or NAME.gz beside it, the first of these that the client
// accepts is sent instead; that they have the same content is up to whoever puts
// them there.
package static

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/urlpath"
	"github.com/apphost/apphost/host/web/std"
)

// Index is the file that a folder is answered with.
const Index = "index.html"

// Files is a folder. Its methods may be called by many goroutines, except Close.
type Files struct {
	root   *os.Root
	prefix string
}

var _ exchange.Handler = (*Files)(nil)

// Open opens the folder dir for a mount at mounted. If that ends in a slash, the
// rest of a request's path names the file; else the last part of mounted does.
func Open(dir, mounted string) (*Files, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder of files: %w", err)
	}
	return &Files{root, mounted[:strings.LastIndexByte(mounted, '/')+1]}, nil
}

// Has reports whether there is a file of that name.
func (f *Files) Has(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// Close lets go of the folder.
func (f *Files) Close() error { return f.root.Close() }

// Serve answers x with a file.
func (f *Files) Serve(ctx context.Context, x exchange.Exchange) error {
	return std.Serve(ctx, x, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r) }))
}

func (f *Files) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed)
		return
	}
	var buf []byte
	full := urlpath.Clean(&buf, []byte(r.RequestURI))
	rest, inside := bytes.CutPrefix(full, []byte(f.prefix))
	name := string(rest)
	if !inside || !allowed(name) {
		answer(w, http.StatusNotFound)
		return
	}
	folder := name == "" || strings.HasSuffix(name, "/")
	if folder {
		name += Index
	}
	file, info, err := f.open(name)
	if err == nil && info.IsDir() {
		_ = file.Close()
		if folder { // an index that is a folder
			answer(w, http.StatusNotFound)
			return
		}
		redirect(w, r, string(full)+"/")
		return
	}
	if err != nil {
		answer(w, statusOf(err))
		return
	}
	defer func() { _ = file.Close() }()
	f.send(w, r, name, file, info)
}

// allowed reports whether no part of name is hidden or could be none.
func allowed(name string) bool {
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		if strings.HasPrefix(part, ".") && part != ".well-known" {
			return false
		}
	}
	return !strings.ContainsRune(name, 0)
}

// errNotAFile is of what is there and is neither a file nor a folder.
var errNotAFile = errors.New("not a regular file")

func (f *Files) open(name string) (*os.File, fs.FileInfo, error) {
	// Nobody may keep us waiting for the other end of a named pipe.
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = errNotAFile
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// encodings are the precompressed forms, the smallest first.
var encodings = [...]struct{ name, suffix string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// send answers with a file, or the compressed form of it.
func (f *Files) send(w http.ResponseWriter, r *http.Request, name string, file *os.File, info fs.FileInfo) {
	header := w.Header()
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		header.Set("Content-Type", t)
	}
	tag := etag(info, "")
	other, otherInfo, encoding := f.compressed(header, name, r.Header.Values("Accept-Encoding"))
	if other != nil {
		defer func() { _ = other.Close() }()
		header.Set("Content-Encoding", encoding)
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/octet-stream") // else it is guessed of the compressed bytes
		}
		file, info, tag = other, otherInfo, etag(otherInfo, "-"+encoding)
	}
	header.Set("Etag", tag)
	// ServeContent leaves it out of what is encoded, for handlers that encode
	// themselves; it corrects it where less is sent.
	header.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	http.ServeContent(w, r, name, info.ModTime(), file)
}

// compressed opens the first form of name that is there and accepted, if there
// is one. The header says if the response depends on that.
func (f *Files) compressed(header http.Header, name string, accept []string) (*os.File, fs.FileInfo, string) {
	for _, e := range encodings {
		file, info, err := f.open(name + e.suffix)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			header.Set("Vary", "Accept-Encoding")
			if accepts(accept, e.name) {
				return file, info, e.name
			}
		}
		_ = file.Close()
	}
	return nil, nil, ""
}

// etag is a strong validator as far as a file's time tells two contents apart.
func etag(info fs.FileInfo, suffix string) string {
	return `"` + strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36) + suffix + `"`
}

// accepts reports whether a client takes an encoding (RFC 9110, section 12.5.3).
// A "*" does not count: a client that means it is one of a test.
func accepts(values []string, encoding string) bool {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(name), encoding) {
				continue
			}
			q, found := strings.CutPrefix(strings.TrimSpace(parameters), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !found || err == nil && weight > 0
		}
	}
	return false
}

// redirect sends a client from a folder's name to the folder.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	location := (&url.URL{Path: to, RawQuery: r.URL.RawQuery}).String()
	w.Header().Set("Location", location)
	answer(w, http.StatusPermanentRedirect)
}

// statusOf tells what is not there from what may not be read.
func statusOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return http.StatusServiceUnavailable
	}
	return http.StatusNotFound
}

// answer says what the status says.
func answer(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%d %s\n", status, http.StatusText(status))
}
