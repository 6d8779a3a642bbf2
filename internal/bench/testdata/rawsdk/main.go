// Rawsdk puts, gets and lists objects of S3 with the AWS SDK and its transfer manager, as a program without
// a vault would do it. It is the baseline of the benchmarks that measure whole processes.
//
//	rawsdk ENDPOINT BUCKET put KEY FILE
//	rawsdk ENDPOINT BUCKET get KEY FILE      in parts
//	rawsdk ENDPOINT BUCKET fetch KEY FILE    in one request
//	rawsdk ENDPOINT BUCKET list PREFIX
//
// FILE - is the standard input of put, and the standard output of fetch. The credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// small is the largest object that is sent in one request.
const small = 8 << 20

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rawsdk:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: rawsdk ENDPOINT BUCKET put|get|fetch|list KEY [FILE]")
	}
	endpoint, bucket, op, key := args[0], args[1], args[2], args[3]
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle = &endpoint, true
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	if op == "list" {
		pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, o := range page.Contents {
				fmt.Println(*o.Key, *o.Size)
			}
		}
		return nil
	}
	manager := transfermanager.New(client, func(o *transfermanager.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	name := args[4]
	switch op + " " + name {
	case "put -":
		return putStream(ctx, client, manager, bucket, key, os.Stdin)
	case "fetch -":
		return fetch(ctx, client, bucket, key, os.Stdout)
	}
	if op == "put" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err == nil && info.Size() <= small {
			_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: file})
		} else if err == nil {
			_, err = manager.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &bucket, Key: &key, Body: file})
		}
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if op == "get" {
		_, err = manager.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: &bucket, Key: &key, WriterAt: file})
	} else {
		err = fetch(ctx, client, bucket, key, file)
	}
	if err != nil {
		return err
	}
	return file.Close()
}

func fetch(ctx context.Context, client *s3.Client, bucket, key string, w io.Writer) error {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	_, err = io.Copy(w, out.Body)
	return err
}

// putStream sends a stream, in one request if it is small.
func putStream(ctx context.Context, client *s3.Client, manager *transfermanager.Client, bucket, key string, r io.Reader) error {
	start, err := io.ReadAll(io.LimitReader(r, small))
	if err != nil {
		return err
	}
	if len(start) < small {
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(start)})
		return err
	}
	_, err = manager.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &bucket, Key: &key, Body: io.MultiReader(bytes.NewReader(start), r)})
	return err
}
