// Runs the top function of an hls4ml project on a file of integer vectors.
//
//     simulation INPUT OUTPUT ELEMENTS_IN ELEMENTS_OUT [TENSOR ELEMENTS]...
//
// INPUT holds vectors of int64; OUTPUT receives, for each, the int64 of every TENSOR named and of
// the result. Compiled with SOURCE, a file that defines the top function, and TOP, its name; or with
// a SOURCE that defines RUN(job), for one of many (many.py).

#include SOURCE

#include "hls_stream.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <pthread.h>
#include <string>
#include <vector>

namespace nnet { // what hls4ml's save_layer_output() writes to
bool trace_enabled = false;
std::map<std::string, void *> *trace_outputs = nullptr;
size_t trace_type_size = sizeof(double);
} // namespace nnet

namespace {

struct Tensor {
    std::string name;
    std::vector<double> elements;
};

struct Job {
    FILE *input, *output;
    size_t elements_in, elements_out;
    std::vector<Tensor> traced;
};

void write(FILE *file, int64_t integer) {
    if (fwrite(&integer, sizeof integer, 1, file) != 1) {
        perror("writing the results");
        exit(1);
    }
}

bool read(Job &job, std::vector<int64_t> &x) {
    return fread(x.data(), sizeof(int64_t), x.size(), job.input) == x.size();
}

void write_traced(Job &job) {
    for (const Tensor &tensor : job.traced)
        for (double element : tensor.elements)
            write(job.output, (int64_t)element);
}

// Tensors as arrays.
template <class In, class Out> void run(void (*top)(In *, Out *), Job &job) {
    std::vector<int64_t> integers(job.elements_in);
    std::vector<In> x(job.elements_in);
    std::vector<Out> y(job.elements_out);
    while (read(job, integers)) {
        for (size_t i = 0; i < x.size(); i++)
            x[i] = In((ap_slong)integers[i]);
        top(x.data(), y.data());
        write_traced(job);
        for (const Out &element : y)
            write(job.output, element.to_int64());
    }
}

// Tensors as streams of vectors. What a layer leaves in a stream would go into the next result.
template <class In, class Out> void run(void (*top)(hls::stream<In> &, hls::stream<Out> &), Job &job) {
    std::vector<int64_t> integers(job.elements_in);
    hls::stream<In> x("input");
    hls::stream<Out> y("output");
    while (read(job, integers)) {
        for (size_t i = 0; i < integers.size(); i += In::size) {
            In vector;
            for (size_t c = 0; c < In::size; c++)
                vector[c] = typename In::value_type((ap_slong)integers[i + c]);
            x.write(vector);
        }
        top(x, y);
        write_traced(job);
        for (size_t i = 0; i < job.elements_out; i += Out::size) {
            if (y.empty()) {
                fprintf(stderr, "the output stream ended after %zu of %zu elements\n", i, job.elements_out);
                exit(1);
            }
            Out vector = y.read();
            for (size_t c = 0; c < Out::size; c++)
                write(job.output, vector[c].to_int64());
        }
        if (!x.empty() || !y.empty()) {
            fprintf(stderr, "vectors were left in the %s stream\n", x.empty() ? "output" : "input");
            exit(1);
        }
    }
}

#ifndef RUN
#define RUN(job) run(TOP, job)
#endif

void *run_all(void *job) {
    RUN(*static_cast<Job *>(job));
    return nullptr;
}

} // namespace

int main(int argc, char **argv) {
    Job job = {fopen(argv[1], "rb"), fopen(argv[2], "wb"), strtoul(argv[3], nullptr, 10),
               strtoul(argv[4], nullptr, 10), {}};
    if (!job.input || !job.output) {
        perror("opening the vectors");
        return 1;
    }
    std::map<std::string, void *> storage;
    for (int i = 5; i + 1 < argc; i += 2)
        job.traced.push_back({argv[i], std::vector<double>(strtoul(argv[i + 1], nullptr, 10))});
    for (Tensor &tensor : job.traced)
        storage[tensor.name] = tensor.elements.data();
    nnet::trace_outputs = &storage;
    nnet::trace_enabled = !storage.empty();

    // hls4ml's layers keep all their products in local arrays: too much for a usual stack.
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size_t(1) << 30);
    if (pthread_create(&thread, &attributes, run_all, &job) != 0) {
        perror("starting a thread with a stack of 1 GiB");
        return 1;
    }
    pthread_join(thread, nullptr);
    return fclose(job.output) == 0 ? 0 : 1;
}
