// Each op by its name in a program.

#pragma once

#include <memory>
#include <vector>

#include "ops.hpp"

namespace statewise::runtime {

template <class T>
using Made = std::unique_ptr<Op<T>>;

template <class T>
Made<T> make_embedding(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_linear(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_norm(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_add(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_concat(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_activation(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_magnitude(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_recurrent(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_last(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_max(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_mean(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_scale(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_segment(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_convolution(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_path(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_reverse(const Told<T>&, const std::vector<Form>&);
template <class T>
Made<T> make_attention(const Told<T>&, const std::vector<Form>&);

}  // namespace statewise::runtime
