// An upstream that lies about one blob of 3 MiB. The repository's name says how: {honest,wrong}-{sized,chunked}, or html.
//
//	liar     prints the blob's digest, then the address, then one line for each request
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
)

func main() {
	blob := bytes.Repeat([]byte("what an upstream says is not yet true\n"), 3<<20/38)
	wrong := bytes.Clone(blob)
	wrong[len(wrong)/2] ^= 1
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("digest sha256:%x\nlistening on %s\n", sha256.Sum256(blob), listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
		body := blob
		if strings.Contains(r.URL.Path, "/wrong-") {
			body = wrong
		}
		switch {
		case strings.Contains(r.URL.Path, "/html/"):
			w.Header().Set("Content-Type", "text/html")
			body = []byte("<html><body>Please log in</body></html>")
		case strings.Contains(r.URL.Path, "-chunked/"):
			w.Header().Set("Content-Type", "application/octet-stream")
			w.(http.Flusher).Flush()
		case strings.Contains(r.URL.Path, "-sized/"):
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		default:
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
	})))
}
