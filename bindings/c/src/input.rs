//! Reads the structs that a C program fills in, up to the size that each of them contains.

#[cfg(any(dps_hosted, test))]
use core::mem::MaybeUninit;
use core::ptr;

#[cfg(not(dps_hosted))]
use crate::memory::shared;
use crate::memory::usable;
use crate::result::Outcome;
#[cfg(any(dps_hosted, test))]
use crate::result::Refused;

/// A struct that the caller fills in. For programs on an operating system its first member is its size, a `usize`, so
/// that it can grow: what the library does not know must be zero, what the caller does not know counts as zero. A new
/// member begins after the padding that the struct ended with before.
///
/// # Safety
/// `repr(C)`, and valid when every byte is zero.
pub(crate) unsafe trait Input: Copy {}

/// What [`input`] returns: in firmware, which is built with its library, the struct itself; otherwise a copy of it.
#[cfg(not(dps_hosted))]
pub(crate) type Given<'a, T> = &'a T;
/// As above.
#[cfg(dps_hosted)]
pub(crate) type Given<'a, T> = T;

/// A struct that the caller filled in.
///
/// # Safety
/// It was filled in, and stays so for `'a`.
#[cfg(not(dps_hosted))]
pub(crate) unsafe fn input<'a, T: Input>(place: *const T) -> Outcome<Given<'a, T>> {
    // SAFETY: promised on.
    unsafe { shared(place) }
}

/// As above.
///
/// # Safety
/// It was filled in, up to the size in its first member.
#[cfg(dps_hosted)]
pub(crate) unsafe fn input<'a, T: Input>(place: *const T) -> Outcome<Given<'a, T>> {
    // SAFETY: promised on.
    unsafe { copied(place) }
}

/// The copy of a struct whose first member is its size.
///
/// # Safety
/// It was filled in, up to the size in its first member.
#[cfg(any(dps_hosted, test))]
unsafe fn copied<T: Input>(place: *const T) -> Outcome<T> {
    usable(place)?;
    let bytes = place.cast::<u8>();
    // SAFETY: the first member is the size, so that every struct has at least that.
    let size = unsafe { place.cast::<usize>().read() };
    if size < size_of::<usize>() || size > isize::MAX as usize {
        return Err(Refused::ARGUMENT);
    }
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's struct has `size` bytes; these may be padding, and are compared as bytes.
    if (known..size).any(|at| unsafe { bytes.add(at).read() } != 0) {
        return Err(Refused::ARGUMENT);
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: both have as many bytes. Zero is valid, as the trait promises, and so is what the caller filled in.
    Ok(unsafe {
        ptr::copy_nonoverlapping(bytes, copy.as_mut_ptr().cast(), known);
        copy.assume_init()
    })
}

/// Makes every member of an input struct of `size` bytes zero, but for its size.
///
/// # Safety
/// The caller has `size` bytes at `place`.
pub(crate) unsafe fn set_to_zero<T: Input>(place: *mut T, size: usize) -> Outcome<()> {
    usable(place)?;
    // SAFETY: promised on.
    unsafe { ptr::write_bytes(place.cast::<u8>(), 0, size) };
    #[cfg(dps_hosted)]
    if size >= size_of::<usize>() {
        // SAFETY: as above; the first member is the size.
        unsafe { place.cast::<usize>().write(size) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Earlier {
        size: usize,
        first: usize,
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Now {
        size: usize,
        first: usize,
        second: usize,
    }

    // SAFETY: numbers.
    unsafe impl Input for Earlier {}
    // SAFETY: numbers.
    unsafe impl Input for Now {}

    fn read<T, U: Input>(given: &T) -> Outcome<U> {
        // SAFETY: the first member is the size.
        unsafe { copied(ptr::from_ref(given).cast()) }
    }

    #[test]
    fn struct_of_earlier_program_is_read_without_what_follows_it() {
        let memory = [Earlier { size: size_of::<Earlier>(), first: 5 }, Earlier { size: 7, first: 7 }];
        let read: Now = read(&memory[0]).unwrap();
        assert_eq!((read.first, read.second), (5, 0));
    }

    #[test]
    fn struct_of_later_program_is_read_if_the_rest_is_zero() {
        let mut given = Now { size: size_of::<Now>(), first: 5, second: 0 };
        assert_eq!(read::<Now, Earlier>(&given).unwrap().first, 5);
        given.second = 1;
        assert_eq!(read::<Now, Earlier>(&given).err(), Some(Refused::ARGUMENT));
    }

    #[test]
    fn struct_without_its_size_is_refused() {
        for size in [0, size_of::<usize>() - 1, usize::MAX] {
            let given = Now { size, first: 5, second: 0 };
            assert_eq!(read::<Now, Now>(&given).err(), Some(Refused::ARGUMENT), "{size}");
        }
    }
}
