// The least that taking a body can cost: one socket, one hash, one new file, one sync; no protocol to speak of. The file
// of a body goes when the next one has come: pages that were freed a moment ago are cheaper than what a registry gets.
//
//	floor ADDRESS DIRECTORY
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	for count := 0; ; count++ {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		if err := take(connection, taken(count)); err != nil {
			log.Fatal(err)
		}
		os.Remove(taken(count - 1))
	}
}

func taken(count int) string { return filepath.Join(os.Args[2], fmt.Sprintf("taken%d", count)) }

func take(connection net.Conn, path string) error {
	defer connection.Close()
	// As much as is worth reading at a time: bodies larger than the buffer go past it.
	reader := bufio.NewReaderSize(connection, 4096)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	hash, buffer := sha256.New(), make([]byte, 256*1024)
	for {
		count, err := request.Body.Read(buffer)
		hash.Write(buffer[:count])
		if _, err := file.Write(buffer[:count]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := file.Sync(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(connection, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\nDocker-Content-Digest: sha256:%x\r\n\r\n", hash.Sum(nil))
	return err
}
