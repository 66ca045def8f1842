// A Go client that believes nothing but the connection: exit 0 only when a GET answered 200 and its body ended cleanly.
//
//	judge URL     prints the status, the length announced (-1: none) and the number of bytes read
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	response, err := http.Get(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	read, err := io.Copy(io.Discard, response.Body)
	fmt.Println(response.StatusCode, response.ContentLength, read)
	if err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}
