// So many pushers at once, each of small images of its own, for so many seconds; says how many images were accepted.
//
//	pushers URL PUSHERS SECONDS
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	layer  = 4096
	config = 512
	types  = "application/vnd.oci.image."
)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}

func main() {
	pushers, seconds := number(os.Args[2]), number(os.Args[3])
	ends := time.Now().Add(time.Duration(seconds) * time.Second)
	var accepted atomic.Int64
	var all sync.WaitGroup
	for pusher := range pushers {
		all.Add(1)
		go func() {
			defer all.Done()
			repository := fmt.Sprintf("%s/v2/bench/pusher%d", os.Args[1], pusher)
			for image := 0; time.Now().Before(ends); image++ {
				push(repository, "tag"+strconv.Itoa(image))
				accepted.Add(1)
			}
		}()
	}
	all.Wait()
	fmt.Println(accepted.Load())
}

func push(repository, tag string) {
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%[1]smanifest.v1+json",`+
		`"config":{"mediaType":"%[1]sconfig.v1+json","digest":"%[2]s","size":%[3]d},`+
		`"layers":[{"mediaType":"%[1]slayer.v1.tar","digest":"%[4]s","size":%[5]d}]}`,
		types, blob(repository, config), config, blob(repository, layer), layer)
	send("PUT", repository+"/manifests/"+tag, types+"manifest.v1+json", []byte(manifest))
}

func blob(repository string, size int) string {
	content := make([]byte, size)
	rand.Read(content)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	started := send("POST", repository+"/blobs/uploads/", "", nil)
	query := started.Query()
	query.Set("digest", digest)
	started.RawQuery = query.Encode()
	send("PUT", started.String(), "application/octet-stream", content)
	return digest
}

// The answer's Location, against the request's URL.
func send(method, target, contentType string, content []byte) *url.URL {
	request, err := http.NewRequest(method, target, bytes.NewReader(content))
	if err != nil {
		log.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(answer.Body)
	if answer.StatusCode/100 != 2 {
		log.Fatalf("%s %s: %s %s", method, target, answer.Status, said)
	}
	location, err := answer.Location()
	if err != nil {
		log.Fatal(err)
	}
	return location
}

func number(text string) int {
	parsed, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return parsed
}
