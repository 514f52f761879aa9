//! Chooses the instruction set at run time. The binary is built for any x86-64 (or ARM) and holds each loop once per
//! instruction set that `pulp` knows (AVX-512, AVX2 with FMA, NEON, plain).

/// `dispatched!(fn name = body(a: &'a [f32], ...))` makes a function that runs `body`, an `#[inline(always)]` function,
/// compiled for the best instruction set of this processor.
macro_rules! dispatched {
    ($(#[$about:meta])* fn $name:ident = $body:ident($($argument:ident: $kind:ty),+)) => {
        $(#[$about])*
        pub(crate) fn $name<'a>($($argument: $kind),+) {
            struct Call<'a> { $($argument: $kind),+ }
            impl<'a> pulp::WithSimd for Call<'a> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) {
                    $body($(self.$argument),+);
                }
            }
            pulp::Arch::new().dispatch(Call { $($argument),+ });
        }
    };
}

pub(super) use dispatched;
