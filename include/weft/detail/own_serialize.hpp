#pragma once

#include <type_traits>

#include <weft/process/parcel.hpp>

/// The functions by which a type says itself how it is sent: serialize(), or save() and load(), as cereal and Boost call them.

namespace weft::detail {

namespace own {

// Functions beside the type are found by its namespace; these hide whatever has these names here.
void serialize() = delete;
void save() = delete;
void load() = delete;

template <class T>
concept MemberSerialize = requires(T& value, process::Outgoing& out, process::Incoming& in) {
  value.serialize(out);
  value.serialize(in);
};
template <class T>
concept MemberSaveLoad = requires(const T& saved, T& loaded, process::Outgoing& out, process::Incoming& in) {
  saved.save(out);
  loaded.load(in);
};
template <class T>
concept FreeSerialize = requires(T& value, process::Outgoing& out, process::Incoming& in) {
  serialize(out, value);
  serialize(in, value);
};
template <class T>
concept FreeSaveLoad = requires(const T& saved, T& loaded, process::Outgoing& out, process::Incoming& in) {
  save(out, saved);
  load(in, loaded);
};

// As Boost calls them.
template <class T>
concept MemberSerializeVersion = requires(T& value, process::Outgoing& out, process::Incoming& in) {
  value.serialize(out, 0U);
  value.serialize(in, 0U);
};
template <class T>
concept FreeSerializeVersion = requires(T& value, process::Outgoing& out, process::Incoming& in) {
  serialize(out, value, 0U);
  serialize(in, value, 0U);
};

/// Calls serialize(), whatever its form.
template <class Archive, class T>
void serialize_by(Archive& archive, T& value) {
  if constexpr (MemberSerialize<T>) {
    value.serialize(archive);
  } else if constexpr (FreeSerialize<T>) {
    serialize(archive, value);
  } else if constexpr (MemberSerializeVersion<T>) {
    value.serialize(archive, 0U);
  } else {
    serialize(archive, value, 0U);
  }
}

/// It has a function for archives, but not what is called: one direction only, for example.
template <class T>
concept Misfits = requires(T& value, process::Outgoing& out) { value.serialize(out); } ||
                  requires(T& value, process::Incoming& in) { value.serialize(in); } ||
                  requires(T& value, process::Outgoing& out) { value.serialize(out, 0U); } ||
                  requires(T& value, process::Incoming& in) { value.serialize(in, 0U); } ||
                  requires(T& value, process::Outgoing& out) { value.save(out); } ||
                  requires(T& value, process::Incoming& in) { value.load(in); };

template <class T>
void save_to(process::Outgoing& out, const T& value) {
  if constexpr (MemberSaveLoad<T>) {
    value.save(out);
  } else if constexpr (FreeSaveLoad<T>) {
    save(out, value);
  } else {
    serialize_by(out, const_cast<T&>(value));  // one function for both directions, which writes nothing to the value when it saves
  }
}

template <class T>
void load_from(process::Incoming& in, T& value) {
  if constexpr (MemberSaveLoad<T>) {
    value.load(in);
  } else if constexpr (FreeSaveLoad<T>) {
    load(in, value);
  } else {
    serialize_by(in, value);
  }
}

}  // namespace own

template <class T>
concept SendsItself = std::is_class_v<T> && (own::MemberSaveLoad<T> || own::FreeSaveLoad<T> || own::MemberSerialize<T> ||
                                             own::FreeSerialize<T> || own::MemberSerializeVersion<T> || own::FreeSerializeVersion<T>);

}  // namespace weft::detail
